/**
 * The client as programs see it: what is not data is kept here, the rest is in WebAssembly (glue.js, wasm.js).
 */
import { AiWarpError } from './error.js'
import start, { Client as Core } from './glue.js'
import { bytes } from './wasm.js'

export { AiWarpError }

/** The start of the WebAssembly module, once per page or process; again if it failed. */
let starting

function started () {
  starting ??= bytes().then((bytes) => start({ module_or_path: bytes })).catch((error) => {
    starting = undefined
    throw error
  })
  return starting
}

export function buildClient (options) {
  return new Client(options)
}

function invalid (message) {
  return new AiWarpError(message, { name: 'AiWarpError', code: 'INVALID_OPTIONS' })
}

class Client {
  #options
  #core

  constructor (options) {
    if (typeof options?.url !== 'string') {
      throw invalid('buildClient: url must be a string')
    }
    // JSON would make null of them.
    const { timeout, reconnect } = options
    for (const [name, value] of [['timeout', timeout], ...Object.entries(reconnect ?? {})]) {
      if (typeof value === 'number' && !Number.isFinite(value)) {
        throw invalid(`buildClient: ${name} must be a finite number`)
      }
    }
    this.#options = { ...options }
    this.sessions = {
      get: async (id, { signal } = {}) => (await this.#started()).get_session(String(id), signal),
      delete: async (id, { signal } = {}) => (await this.#started()).delete_session(String(id), signal)
    }
  }

  async ask ({ signal, ...options }) {
    const core = await this.#started()
    const answer = await core.ask(JSON.stringify(options), signal)
    if (answer.stream) {
      answer.stream = new Messages(answer.stream)
    }
    return answer
  }

  async #started () {
    if (!this.#core) {
      await started()
      const { headers, fetch, logger, ...data } = this.#options
      this.#core ??= new Core(JSON.stringify(data), headers, fetch, logger)
    }
    return this.#core
  }
}

/** The messages of a stream, which can be read once. */
class Messages {
  #core
  #last = Promise.resolve()

  constructor (core) {
    this.#core = core
  }

  [Symbol.asyncIterator] () {
    return this
  }

  next () {
    // One after the other, however they are asked for.
    const next = this.#last.then(() => this.#next())
    this.#last = next.catch(() => {})
    return next
  }

  async return (value) {
    this.#core?.leave()
    await this.#last
    this.#free()
    return { done: true, value }
  }

  async #next () {
    if (!this.#core) {
      return { done: true, value: undefined }
    }
    try {
      const value = await this.#core.next()
      if (value !== undefined) {
        return { done: false, value }
      }
    } catch (error) {
      this.#free()
      throw error
    }
    this.#free()
    return { done: true, value: undefined }
  }

  #free () {
    this.#core?.free()
    this.#core = undefined
  }
}
