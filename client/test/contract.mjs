// What the client does with what a gateway may answer: requests, messages, errors, the log. On a fake gateway.

import { equal, fails, ok, within } from './assert.mjs'
import { answering, away, content, end, failure, readAll, remembering, resumable, silent, stream, whole } from './fake.mjs'

const answer = { text: 'hi', result: 'COMPLETE', sessionId: 's1' }

export const contract = ({ buildClient, AiWarpError }) => {
  const client = (fetch, options) => buildClient({ url: 'http://gateway', fetch, ...options })

  return {
    'a stream is asked for as AI Warp asks for it' () {
      const { fetch, asked } = answering(stream([content(1), end(2)]))
      const options = {
        prompt: 'hello',
        sessionId: 's0',
        context: { key: ['value', 1.5, null] },
        temperature: 0.7,
        maxTokens: 9,
        models: ['openai:a', { provider: 'deepseek', model: 'b' }],
        route: 'r'
      }
      return client(fetch, { url: 'http://gateway/', headers: { Authorization: 'Bearer x' } }).ask(options).then(() => {
        const [{ url, method, headers, body }] = asked
        equal([url, method], ['http://gateway/api/v1/stream', 'POST'])
        equal(body, { ...options, stream: true, resume: true })
        const sent = ['accept', 'content-type', 'authorization', 'last-event-id'].map((name) => headers.get(name))
        equal(sent, ['text/event-stream', 'application/json', 'Bearer x', null])
      })
    },

    async 'a stream is messages and the headers of its response' () {
      const { fetch } = answering(resumable([content('', 'a'), content(2, 'b'), ': comment\n\nevent: new\ndata: x\n\n', end(3)]))
      const { stream: messages, headers } = await client(fetch).ask({ prompt: 'hi' })
      ok(headers instanceof Headers)
      equal(headers.get('x-session-id'), 's1')
      equal((await readAll(messages)).messages, [
        { type: 'content', content: 'a' },
        { type: 'content', content: 'b', id: '2' },
        { type: 'done', response: { text: 'all', result: 'COMPLETE', sessionId: 's1' } }
      ])
      equal(await readAll(messages), { messages: [] }, 'a stream can be read once')
      const other = await client(answering(stream([content(1), end(2)])).fetch).ask({ prompt: 'hi' })
      equal((await readAll(other.stream)).messages[0], { type: 'content', content: 'c1 ' }, 'not to be come back to')
    },

    async 'a direct answer is its content and its headers' () {
      const { fetch, asked } = answering(whole(200, answer, { 'x-ai-warp-model': 'a:b' }))
      const { content, headers } = await client(fetch).ask({ prompt: 'hi', stream: false })
      equal(content, answer)
      ok(headers instanceof Headers && headers.get('x-ai-warp-model') === 'a:b')
      equal(asked[0].body, { prompt: 'hi', stream: false })
      equal([asked[0].url, asked[0].headers.get('accept')], ['http://gateway/api/v1/prompt', 'application/json'])
    },

    async 'paths can be others' () {
      const { fetch, asked } = answering(whole(200, answer))
      const other = client(fetch, { promptPath: '/p', streamPath: '/s', sessionsPath: '/x' })
      await other.ask({ prompt: 'hi', stream: false })
      await fails(other.ask({ prompt: 'hi' }), { code: 'INVALID_RESPONSE' })
      await other.sessions.get('a/b')
      equal(asked.map(({ url }) => url), ['http://gateway/p', 'http://gateway/s', 'http://gateway/x/a%2Fb'])
    },

    async 'a response that is an error tells status, code and when to come back' () {
      const body = { code: 'PROVIDER_RATE_LIMIT_ERROR', message: 'wait' }
      for (const stream of [true, false]) {
        const { fetch, asked } = answering(whole(429, body, { 'retry-after': '7' }))
        const error = await fails(client(fetch).ask({ prompt: 'hi', stream }), {
          name: 'AiWarpError',
          code: 'PROVIDER_RATE_LIMIT_ERROR',
          status: 429,
          retryAfter: 7,
          message: `HTTP 429: ${JSON.stringify(body)}`
        })
        ok(error instanceof AiWarpError)
        equal(asked.length, 1, 'requests')
      }
      const { fetch } = answering(whole(500, 'Internal Server Error'))
      await fails(client(fetch).ask({ prompt: 'hi' }), { code: 'HTTP_ERROR', message: 'HTTP 500: Internal Server Error' })
    },

    async 'an error of the gateway in the middle of a stream is its last message' () {
      const { fetch } = answering(stream([content(1), failure('PROVIDER_RESPONSE_ERROR', 2), content(3)], { then: 'hang' }))
      const { messages: [first, last, ...more], error } = await readAll((await client(fetch).ask({ prompt: 'hi' })).stream)
      equal([first.content, last.type, more, error], ['c1 ', 'error', [], undefined])
      ok(last.error instanceof AiWarpError)
      equal([last.error.code, last.error.message], ['PROVIDER_RESPONSE_ERROR', 'told'])
    },

    async 'a network that is away is an error with its cause' () {
      for (const stream of [true, false]) {
        const { fetch, asked } = answering(away)
        const error = await fails(client(fetch).ask({ prompt: 'hi', stream }), {
          code: 'CONNECTION_LOST',
          message: 'fetch failed'
        })
        ok(error.cause instanceof TypeError)
        equal(asked.length, 1, 'requests')
      }
      const unknown = () => { throw 'text' } // eslint-disable-line no-throw-literal
      await fails(client(unknown).ask({ prompt: 'hi' }), { message: 'Unknown error occurred', cause: 'text' })
    },

    async 'a stream without its last event is an error, however it ends' () {
      for (const then of ['end', 'break']) {
        const { fetch, asked } = answering(stream([content(1), 'id: 2\nevent: cont'], { then }))
        const { messages, error } = await readAll((await client(fetch).ask({ prompt: 'hi' })).stream)
        equal([messages.length, error?.code, error?.lastEventId], [1, 'CONNECTION_LOST', undefined], then)
        equal(asked.length, 1, 'requests')
      }
    },

    async 'what is no answer is an error' () {
      const page = whole(200, '<html>', { 'content-type': 'text/html' })
      for (const stream of [true, false]) {
        await fails(client(answering(page).fetch).ask({ prompt: 'hi', stream }), { code: 'INVALID_RESPONSE' })
      }
      const { fetch } = answering(stream([content(1), 'event: content\ndata: text\n\n', end(3)]))
      const { messages, error } = await readAll((await client(fetch).ask({ prompt: 'hi' })).stream)
      equal([messages.length, error?.code], [1, 'INVALID_RESPONSE'])
      const empty = async () => ({ ok: true, status: 200, headers: new Headers(), body: null })
      await fails(client(empty).ask({ prompt: 'hi' }), { message: 'Response body is null' })
    },

    async 'a letter in two pieces is one letter' () {
      const bytes = new TextEncoder().encode(content(1, 'Grüße 世界 🦀') + end(2))
      const pieces = Array.from(bytes, (byte) => Uint8Array.of(byte))
      const { fetch } = answering(stream(pieces))
      const { messages } = await readAll((await client(fetch).ask({ prompt: 'hi' })).stream)
      equal(messages[0].content, 'Grüße 世界 🦀')
    },

    async 'nothing that comes in time is a timeout' () {
      const slow = { timeout: 30 }
      const told = { name: 'TimeoutError', code: 'TIMEOUT', message: 'Request timeout' }
      for (const stream of [true, false]) {
        await fails(client(answering(silent).fetch, slow).ask({ prompt: 'hi', stream }), told)
      }
      const { fetch, asked } = answering(stream([content(1)], { then: 'hang' }))
      const { messages, error } = await readAll((await client(fetch, slow).ask({ prompt: 'hi' })).stream)
      equal([messages.length, error?.code, asked[0].signal.aborted], [1, 'TIMEOUT', true])
    },

    async 'a stream may take longer than the timeout, as long as it goes on' () {
      const pieces = Array.from({ length: 12 }, (_, index) => content(index + 1))
      const { fetch } = answering((request) => {
        const response = stream([...pieces, end(99)])(request)
        const slowly = new TransformStream({
          transform: (piece, controller) => new Promise((resolve) => setTimeout(() => {
            controller.enqueue(piece)
            resolve()
          }, 20))
        })
        return new Response(response.body.pipeThrough(slowly), response)
      })
      const { messages, error } = await readAll((await client(fetch, { timeout: 150 }).ask({ prompt: 'hi' })).stream)
      equal([messages.length, error], [13, undefined])
    },

    async 'a program can abort at any time' () {
      const told = { name: 'AbortError', code: 'ABORTED', cause: 'enough' }
      const aborted = AbortSignal.abort('enough')
      const never = answering(silent)
      await fails(client(never.fetch).ask({ prompt: 'hi', signal: aborted }), told)
      equal(never.asked.length, 0, 'requests')
      for (const stream of [true, false]) {
        const controller = new AbortController()
        const { fetch, asked } = answering((request) => {
          setTimeout(() => controller.abort('enough'))
          return silent(request)
        })
        await fails(client(fetch).ask({ prompt: 'hi', stream, signal: controller.signal }), told)
        ok(asked[0].signal.aborted, 'the request goes on')
      }
      const controller = new AbortController()
      const { fetch, asked } = answering(stream([content(1)], { then: 'hang' }))
      const { stream: messages } = await client(fetch).ask({ prompt: 'hi', signal: controller.signal })
      const iterator = messages[Symbol.asyncIterator]()
      equal((await iterator.next()).value.content, 'c1 ')
      const next = iterator.next()
      controller.abort('enough')
      await fails(next, told)
      equal([await iterator.next(), asked[0].signal.aborted], [{ done: true, value: undefined }, true])
    },

    async 'to abort after the end does nothing, and nobody listens any more' () {
      const cases = [[stream([content(1), end(2)]), true], [whole(200, answer), false], [whole(500, ''), false], [away, true]]
      for (const [given, streaming] of cases) {
        const controller = new AbortController()
        const { signal } = controller
        let listeners = 0
        let most = 0
        signal.addEventListener = (...listener) => {
          most = Math.max(most, ++listeners)
          EventTarget.prototype.addEventListener.apply(signal, listener)
        }
        signal.removeEventListener = (...listener) => {
          listeners--
          EventTarget.prototype.removeEventListener.apply(signal, listener)
        }
        const { fetch } = answering(given)
        const answered = await client(fetch).ask({ prompt: 'hi', stream: streaming, signal }).catch(() => ({}))
        if (answered.stream) {
          const { messages, error } = await readAll(answered.stream)
          equal([messages.length, error], [2, undefined])
        }
        // The rest of a body is read in the background.
        for (let turn = 0; turn < 50 && listeners > 0; turn++) {
          await new Promise((resolve) => setTimeout(resolve))
        }
        equal([most, listeners], [1, 0], 'listeners')
        controller.abort()
      }
    },

    async 'a loop that is left ends the request' () {
      const { fetch, asked } = answering(stream([content(1), content(2)], { then: 'hang' }))
      const { stream: messages } = await client(fetch).ask({ prompt: 'hi' })
      for await (const message of messages) {
        equal(message.content, 'c1 ')
        break
      }
      ok(asked[0].signal.aborted, 'the request goes on')
      const waiting = answering(stream([], { then: 'hang' }))
      const iterator = (await client(waiting.fetch).ask({ prompt: 'hi' })).stream[Symbol.asyncIterator]()
      const next = iterator.next()
      equal(await iterator.return('x'), { done: true, value: 'x' })
      equal([await next, waiting.asked[0].signal.aborted], [{ done: true, value: undefined }, true])
    },

    async 'a loop that is left at the last message ends the request if its body does not' () {
      for (const last of [end(2), failure('PROVIDER_RESPONSE_ERROR', 2)]) {
        const { fetch, asked } = answering(stream([content(1), last], { then: 'hang' }))
        const { stream: messages } = await client(fetch).ask({ prompt: 'hi' })
        for await (const { type } of messages) {
          if (type !== 'content') break
        }
        const { signal } = asked[0]
        ok(!signal.aborted, 'it has a moment to end by itself')
        await within(5_000, new Promise((resolve) => signal.addEventListener('abort', resolve)))
      }
      let isRead = false
      const { fetch, asked } = answering((request) => {
        const response = stream([content(1), end(2), ': the rest'])(request)
        const watched = new TransformStream({ flush () { isRead = true } })
        return new Response(response.body.pipeThrough(watched), response)
      })
      for await (const { type } of (await client(fetch).ask({ prompt: 'hi' })).stream) {
        if (type === 'done') break
      }
      for (let turn = 0; turn < 50 && !isRead; turn++) {
        await new Promise((resolve) => setTimeout(resolve))
      }
      equal([isRead, asked[0].signal.aborted], [true, false])
    },

    async 'messages asked for at once come in order' () {
      const { fetch } = answering(stream([content(1), content(2), end(3)]))
      const { stream: messages } = await client(fetch).ask({ prompt: 'hi' })
      const iterator = messages[Symbol.asyncIterator]()
      const all = await Promise.all(Array.from({ length: 5 }, () => iterator.next()))
      equal(all.map(({ done, value }) => done || value.content || value.type), ['c1 ', 'c2 ', 'done', true, true])
    },

    async 'the log is as AI Warp has it' () {
      const log = remembering()
      const { fetch } = answering(stream([end(1)]), whole(400, 'no'), silent, away)
      const logged = client(fetch, { logger: log.logger, timeout: 30 })
      await readAll((await logged.ask({ prompt: 'hi', models: ['a:b'] })).stream)
      equal(log.lines, [
        ['debug Making AI request', { endpoint: 'http://gateway/api/v1/stream', prompt: 'hi', models: ['a:b'], stream: true, resume: true }],
        ['info AI request successful', { status: 200 }]
      ])
      for (let asked = 0; asked < 3; asked++) {
        await logged.ask({ prompt: 'hi', stream: false }).catch(() => {})
      }
      equal(log.told().slice(2), [
        'debug Making AI request',
        'error AI request failed',
        'error AI request error',
        'debug Making AI request',
        'warn AI request timed out',
        'debug Making AI request',
        'error AI request error'
      ])
      equal([log.lines[3][1].body, log.lines[6][1], log.lines[8][1].error], ['no', { timeout: 30 }, 'fetch failed'])
    },

    async 'a logger that throws breaks nothing' () {
      const thrower = () => { throw new Error('logger') }
      const logger = { debug: thrower, info: thrower, warn: thrower, error: thrower }
      const { fetch } = answering(stream([end(1)]))
      equal((await readAll((await client(fetch, { logger }).ask({ prompt: 'hi' })).stream)).messages.length, 1)
    },

    async 'sessions are read and deleted' () {
      const session = { sessionId: 's1', history: [] }
      const missing = { code: 'NOT_FOUND', message: 'no such session' }
      const { fetch, asked } = answering(whole(200, session), whole(204), whole(404, missing))
      const { sessions } = client(fetch, { headers: new Headers({ authorization: 'Bearer x' }) })
      equal([await sessions.get('s1'), await sessions.delete('s1')], [session, undefined])
      await fails(sessions.get('s1'), { code: 'NOT_FOUND', status: 404 })
      await fails(sessions.delete('s1', { signal: AbortSignal.abort() }), { code: 'ABORTED' })
      equal(asked.map(({ method, url }) => `${method} ${url}`), [
        'GET http://gateway/api/v1/sessions/s1',
        'DELETE http://gateway/api/v1/sessions/s1',
        'GET http://gateway/api/v1/sessions/s1'
      ])
      ok(asked.every(({ headers }) => headers.get('authorization') === 'Bearer x'))
    },

    async 'options that make no sense are refused' () {
      await fails(async () => buildClient({}), { code: 'INVALID_OPTIONS' })
      for (const options of [
        { timeout: Infinity },
        { timeout: NaN },
        ...['maxAttempts', 'minDelay', 'maxDelay'].map((name) => ({ reconnect: { [name]: Infinity } }))
      ]) {
        const [name] = Object.keys(options.reconnect ?? options)
        const message = `buildClient: ${name} must be a finite number`
        await fails(async () => client(away, options), { code: 'INVALID_OPTIONS', message })
      }
      const { fetch, asked } = answering(whole(200, {}))
      for (const id of ['', '.', '..']) {
        await fails(client(fetch).sessions.get(id), { code: 'INVALID_OPTIONS' })
        await fails(client(fetch).sessions.delete(id), { code: 'INVALID_OPTIONS' })
      }
      equal(asked.length, 0, 'requests')
      await fails(client(away, { timeout: -1 }).ask({ prompt: 'hi' }), { code: 'INVALID_OPTIONS' })
      await fails(client(away).ask({ prompt: 'hi', lastEventId: 7 }), { code: 'INVALID_OPTIONS' })
    }
  }
}
