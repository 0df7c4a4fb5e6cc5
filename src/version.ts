/** The version of this release, equal to package.json (tested). */
export const version = '0.1.0'
