// Types of the few worker-only globals that the project's one TypeScript library (DOM) does not declare.

interface FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}
declare var FileReaderSync: { prototype: FileReaderSync; new (): FileReaderSync } | undefined;

interface FileSystemSyncAccessHandle {
  read(buffer: AllowSharedBufferSource, options?: { at?: number }): number;
  write(buffer: AllowSharedBufferSource, options?: { at?: number }): number;
  getSize(): number;
  truncate(newSize: number): void;
  flush(): void;
  close(): void;
}

interface FileSystemFileHandle {
  createSyncAccessHandle(options?: {
    mode?: 'readwrite' | 'read-only' | 'readwrite-unsafe';
  }): Promise<FileSystemSyncAccessHandle>;
  move(parent: FileSystemDirectoryHandle, name: string): Promise<void>;
}

interface DedicatedWorkerGlobalScope extends EventTarget {
  readonly crossOriginIsolated: boolean;
  readonly location: WorkerLocation;
  readonly navigator: WorkerNavigator;
  name: string;
  onmessage: ((event: MessageEvent) => void) | null;
  postMessage(message: unknown, transfer?: Transferable[]): void;
  close(): void;
}

interface WorkerLocation {
  readonly href: string;
  readonly origin: string;
}

interface WorkerNavigator {
  readonly hardwareConcurrency: number;
  readonly storage: StorageManager;
  readonly locks: LockManager;
}
