/** Describes an error code of the system for messages; other codes and texts are returned as they are. */
export const describeErrorCode = (code: string): string =>
  code === 'ENOENT' ? 'no such file' : code
