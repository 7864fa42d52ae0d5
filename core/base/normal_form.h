// Owns Unicode's normal form C: what a character and its marks are written as when one character can say it.
// Source: Unicode Standard Annex 15.
#pragma once

#include <string>
#include <string_view>

namespace tessera {

/// The text in NFC. Invalid UTF-8 stays as it is and parts what is on either side.
std::string to_nfc(std::string_view text);

/// NFC of valid UTF-8: by the tables of normal_form_tables.h, in the WebAssembly modules by JavaScript's String.prototype.normalize
/// (wasm/normal_form.cpp), whose Unicode may be newer.
std::string compose_utf8(std::string_view text);

}  // namespace tessera
