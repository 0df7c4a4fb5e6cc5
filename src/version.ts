/** The version of this release; equal to package.json's (tested). */
export const version = '0.1.0'
