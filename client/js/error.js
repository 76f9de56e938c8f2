/**
 * What `ask` and the sessions throw, and what an error message of a stream holds.
 * `code` tells what went wrong; see index.d.ts.
 */
export class AiWarpError extends Error {
  constructor (message, { name, cause, ...fields }) {
    super(message, cause === undefined ? undefined : { cause })
    // Not enumerable, as that of every other error.
    Object.defineProperty(this, 'name', { value: name, configurable: true, writable: true })
    Object.assign(this, fields)
  }
}
