// A gateway as a `fetch` function: answers as it is told, and remembers what it was asked. What cannot be had of a real one
// when a test wants it (a refusal on the way back, a connection that breaks at this very byte) is had here, without a socket.

const encoder = new TextEncoder()

/** Ids here are positions alone, of a stream without a name. */
export const PLACE = '0'

/** Answers one request after the other by these functions; the last of them answers all further ones. */
export function answering (...answers) {
  const asked = []
  const fetch = async (url, init) => {
    const { signal } = init
    signal.throwIfAborted()
    const request = { url, method: init.method, headers: init.headers, body: init.body && JSON.parse(init.body), signal }
    asked.push(request)
    const answer = answers[Math.min(asked.length, answers.length) - 1]
    return answer(request)
  }
  return { fetch, asked }
}

/** A response with events. `then` is what comes after them: `end`, `break` or `hang`. */
export function stream (events, { then = 'end', headers = {} } = {}) {
  return ({ signal }) => {
    const pieces = [...events]
    const body = new ReadableStream({
      start (controller) {
        signal.addEventListener('abort', () => controller.error(signal.reason))
      },
      pull (controller) {
        if (pieces.length > 0) {
          const piece = pieces.shift()
          controller.enqueue(typeof piece === 'string' ? encoder.encode(piece) : piece)
        } else if (then === 'end') {
          controller.close()
        } else if (then === 'break') {
          controller.error(new TypeError('terminated'))
        } else {
          return new Promise(() => {})
        }
      }
    }, { highWaterMark: 0 })
    return new Response(body, { headers: { 'content-type': 'text/event-stream', 'x-session-id': 's1', ...headers } })
  }
}

/** The same of a stream that can be come back to. */
export function resumable (events, options = {}) {
  return stream(events, { ...options, headers: { 'x-ai-warp-stream': PLACE, ...options.headers } })
}

/** A whole response. */
export function whole (status, body, headers = {}) {
  return () => {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return new Response(status === 204 ? null : text, { status, headers })
  }
}

/** No response: the network is away. */
export function away () {
  throw new TypeError('fetch failed')
}

/** Never answers. */
export function silent ({ signal }) {
  return new Promise((resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
}

export function content (id, text = `c${id} `) {
  return `id: ${id}\nevent: content\ndata: ${JSON.stringify({ response: text })}\n\n`
}

export function end (id, text = 'all') {
  return `id: ${id}\nevent: end\ndata: ${JSON.stringify({ response: { text, result: 'COMPLETE', sessionId: 's1' } })}\n\n`
}

export function failure (code, id) {
  return `${id ? `id: ${id}\n` : ''}event: error\ndata: ${JSON.stringify({ code, message: 'told' })}\n\n`
}

/** Answers any `last-event-id` with what comes after it, but no connection has more than so many bytes of it. */
export function cutEvery (events, bytes) {
  return (request) => {
    const after = request.headers.get('last-event-id')
    const first = after === null || after === PLACE ? 0 : events.findIndex(({ id }) => id === after) + 1
    const all = encoder.encode(events.slice(first).map(({ text }) => text).join(''))
    const isRest = all.length <= bytes
    return resumable([all.slice(0, bytes)], { then: isRest ? 'end' : 'break' })(request)
  }
}

/** All messages of a stream, and what its loop threw. */
export async function readAll (stream) {
  const messages = []
  try {
    for await (const message of stream) {
      messages.push(message)
    }
    return { messages }
  } catch (error) {
    return { messages, error }
  }
}

/** A logger that remembers: `level message`, and the data. */
export function remembering () {
  const lines = []
  const logger = {}
  for (const level of ['debug', 'info', 'warn', 'error']) {
    logger[level] = (message, data) => lines.push([`${level} ${message}`, data])
  }
  return { logger, lines, told: () => lines.map(([line]) => line) }
}
