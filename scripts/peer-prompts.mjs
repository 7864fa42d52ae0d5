/** Owns the prompts of check-peer.mjs. Open ones are tasks, or beginnings of prose; determined ones have one continuation, whoever writes it. */

const chatPrompts = [
  'Write a short story about a lighthouse keeper who finds a letter in a bottle.',
  'Explain how a bicycle stays upright while it is moving.',
  'What are the main causes of the French Revolution?',
  'Give me a recipe for a simple vegetable soup.',
  'Describe the water cycle to a ten-year-old child.',
  'Write a Python function that returns the n-th Fibonacci number.',
  'Write an email to my landlord about a broken heater.',
  'What should I see in Rome if I have only one day?',
  'Compare cats and dogs as pets.',
  'Why do leaves change their colour in autumn?',
];
const plainPrompts = [
  'The history of the Roman Empire begins with',
  'In order to bake good bread, you need',
  'The three laws of thermodynamics state that',
  'Once upon a time, in a small village by the sea, there lived',
  'The capital of France is Paris. The capital of Germany is',
  'def binary_search(items, target):\n',
  'Photosynthesis is the process by which',
  'Dear Sir or Madam,\n\nI am writing to',
  'The first computers were built in the 1940s. They',
  'The main difference between a virus and a bacterium is',
];

const determinedPrompts = [
  'Count from 1 to 30, separated by commas: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,',
  'The alphabet: A, B, C, D, E, F, G,',
  'Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday, Monday, Tuesday,',
  'January, February, March, April, May, June, July, August, September, October, November, December, January, February,',
  '2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22,',
  'one two three four five six seven eight nine ten one two three four five six seven eight nine ten one two',
  'def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n\ndef mul(a, b):\n',
  '10 x 1 = 10\n10 x 2 = 20\n10 x 3 = 30\n10 x 4 = 40\n',
  'The quick brown fox jumps over the lazy dog. The quick brown fox jumps over the lazy dog. The quick brown',
  '<ul>\n  <li>Item 1</li>\n  <li>Item 2</li>\n  <li>Item 3</li>\n',
];

/** @typedef {{texts: string[], chat: boolean, bos: boolean}} Prompts chat: as messages; bos: whether the model's texts begin with one */

/** @param {string} name of a real model @param {string} kind @returns {Prompts} */
export function promptsFor(name, kind) {
  const chat = name.includes('instruct') && kind === 'open';
  const texts = kind === 'determined' ? determinedPrompts : chat ? chatPrompts : plainPrompts;
  return { texts, chat, bos: !name.includes('instruct') };
}
