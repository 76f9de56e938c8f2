// The client and a real gateway, with simulated providers behind it. `place` tells where they are:
// `url`; `cutting`, where every connection is cut in the middle of a stream; `nobody`, where nobody listens; and whether
// streams of the gateway are `resumable`.

import { equal, fails, ok } from './assert.mjs'
import { readAll } from './fake.mjs'

export const gateway = ({ buildClient }, place) => {
  const client = (url = place.url, options = {}) => buildClient({ url, ...options })
  const read = async (ask, from = client()) => {
    const { stream, headers } = await from.ask({ prompt: 'hi', ...ask })
    const { messages, error } = await readAll(stream)
    const text = messages.map(({ content }) => content ?? '').join('')
    return { messages, error, text, headers, last: messages.at(-1) }
  }

  // Of a gateway whose streams survive their clients.
  const ofResumable = {
    async 'a stream is gone on with by hand' () {
      const ask = { models: ['openai:severed~chunks=200~chunk-delay=3'] }
      const first = await read(ask, client(place.cutting, { reconnect: false }))
      const { code, sessionId, lastEventId } = first.error
      equal([code, sessionId], ['CONNECTION_LOST', first.headers.get('x-session-id')])
      equal(lastEventId, first.messages.at(-1).id)
      const rest = await read({ ...ask, sessionId, lastEventId })
      equal(rest.error, undefined)
      equal(first.text + rest.text, rest.last.response.text)
    },

    async 'an answer that is left goes on in its session, until a prompt does not want it' () {
      const old = 'openai:severed~chunks=200~chunk-delay=3'
      const { stream, headers } = await client().ask({ prompt: 'hi', models: [old] })
      for await (const { type } of stream) {
        if (type === 'content') break
      }
      const sessionId = headers.get('x-session-id')
      const rest = await client().ask({ prompt: 'next', sessionId, models: ['openai:ok'] })
      equal(rest.headers.get('x-ai-warp-model'), old)
      for await (const { type } of rest.stream) {
        if (type === 'content') break
      }
      const anew = await read({ prompt: 'next', sessionId, models: ['openai:ok'], resume: false })
      equal([anew.headers.get('x-ai-warp-model'), anew.last.type], ['openai:ok', 'done'])
    },

    async 'a stream that is not there any more' () {
      const { headers } = await read()
      const sessionId = headers.get('x-session-id')
      const lastEventId = '01234567-89ab-8def-8123-456789abcdef'
      await fails(read({ sessionId, lastEventId }), { code: 'STREAM_EXPIRED', status: 410 })
    }
  }

  return {
    ...(place.resumable ? ofResumable : {}),

    async 'a direct answer' () {
      const { content, headers } = await client().ask({ prompt: 'hello', stream: false })
      equal([content.result, content.sessionId], ['COMPLETE', headers.get('x-session-id')])
      ok(content.text.length > 0)
      equal([headers.get('x-ai-warp-model'), headers.get('x-ai-warp-attempts')], ['openai:ok', '1'])
    },

    async 'a stream' () {
      const { messages, error, text, headers, last } = await read({ models: ['openai:m~chunks=20'] })
      equal([messages.length, error, last.type], [21, undefined, 'done'])
      equal([last.response.text, last.response.result], [text, 'COMPLETE'])
      equal([last.response.sessionId, headers.get('x-ai-warp-model')], [headers.get('x-session-id'), 'openai:m~chunks=20'])
      const ids = messages.slice(0, 20).map(({ id }) => id)
      equal([ids.every(Boolean), new Set(ids).size], place.resumable ? [true, 20] : [false, 1], 'ids')
    },

    async 'a fallback to another provider' () {
      const after = (failing) => ({ prompt: 'hi', models: [failing, { provider: 'gemini', model: 'ok' }] })
      for (const { headers } of [
        await read(after('openai:down')),
        await client().ask({ ...after('deepseek:down'), stream: false })
      ]) {
        equal([headers.get('x-ai-warp-model'), headers.get('x-ai-warp-attempts')], ['gemini:ok', '2'])
      }
    },

    async 'a session goes on, is read and deleted' () {
      const first = await client().ask({ prompt: 'one', stream: false })
      const { sessionId } = first.content
      const second = await read({ prompt: 'two', sessionId })
      equal(second.headers.get('x-session-id'), sessionId)
      const session = await client().sessions.get(sessionId)
      equal([session.sessionId, session.history.map(({ prompt }) => prompt)], [sessionId, ['one', 'two']])
      equal(session.history.map(({ response }) => response), [first.content.text, second.text])
      equal(await client().sessions.delete(sessionId), undefined)
      await fails(client().sessions.get(sessionId), { code: 'NOT_FOUND', status: 404 })
      await fails(client().sessions.delete(sessionId), { code: 'NOT_FOUND', status: 404 })
    },

    async 'everything that can be said of a prompt' () {
      const history = [{ prompt: 'before', response: 'answer' }]
      const said = { context: { be: 'brief' }, temperature: 0.5, maxTokens: 50, history, models: ['deepseek:ok'] }
      equal((await read(said)).headers.get('x-ai-warp-model'), 'deepseek:ok')
      equal((await read({ route: 'other' })).headers.get('x-ai-warp-model'), 'deepseek:ok')
    },

    async 'a request that is not valid' () {
      for (const stream of [true, false]) {
        await fails(client().ask({ prompt: 'hi', temperature: 7, stream }), { code: 'OPTION_ERROR', status: 400, message: /^HTTP 400: / })
        await fails(client().ask({ prompt: 'hi', models: ['openai:unheard-of'], stream }), { code: 'OPTION_ERROR' })
        await fails(client().ask({ prompt: 'hi', models: ['openai:picky~status=400'], stream }), { code: 'PROVIDER_BAD_REQUEST_ERROR' })
      }
    },

    async 'a rate limit tells when to come back' () {
      const error = await fails(read({ models: ['openai:busy~status=429~retry-after=30'] }), {
        code: 'PROVIDER_RATE_LIMIT_ERROR',
        status: 429
      })
      ok(error.retryAfter > 20 && error.retryAfter <= 30, `retryAfter ${error.retryAfter}`)
    },

    async 'no model is left' () {
      const models = ['openai:tired~status=500']
      await fails(read({ models }), { code: 'PROVIDER_RESPONSE_ERROR', status: 502 })
      for (const stream of [true, false]) {
        await fails(client().ask({ prompt: 'hi', models, stream }), { code: 'PROVIDER_NO_MODELS_AVAILABLE_ERROR', status: 503 })
      }
    },

    async 'a provider that breaks off in the middle' () {
      const { messages, error, last } = await read({ prompt: 'one two three four five', models: ['openai:m~error-event=3~chunk-delay=20'] })
      ok(messages.length > 1 && error === undefined, 'messages')
      equal([last.type, last.error.code, last.error.name], ['error', 'PROVIDER_RESPONSE_ERROR', 'AiWarpError'])
    },

    async 'a program that aborts' () {
      const controller = new AbortController()
      const { stream } = await client().ask({ prompt: 'hi', models: ['openai:aborted~chunks=1000~chunk-delay=50'], signal: controller.signal })
      const loop = async () => {
        for await (const { content } of stream) {
          equal(content, 'c1 ')
          controller.abort()
        }
      }
      await fails(loop, { name: 'AbortError', code: 'ABORTED' })
      const direct = new AbortController()
      setTimeout(() => direct.abort(), 50)
      const silent = { prompt: 'hi', models: ['openai:aborted~stall-headers'], stream: false, signal: direct.signal }
      await fails(client().ask(silent), { code: 'ABORTED' })
    },

    async 'a loop that is left' () {
      const { stream } = await client().ask({ prompt: 'hi', models: ['openai:left~chunks=1000~chunk-delay=50'], resume: false })
      for await (const { content } of stream) {
        equal(content, 'c1 ')
        break
      }
    },

    async 'an answer that does not begin in time' () {
      await fails(client(place.url, { timeout: 100 }).ask({ prompt: 'hi', models: ['openai:m~stall-headers'] }), { code: 'TIMEOUT' })
    },

    async 'nobody at the address' () {
      await fails(client(place.nobody).ask({ prompt: 'hi' }), { code: 'CONNECTION_LOST', name: 'AiWarpError' })
    },

    async 'many streams at once are not mixed' () {
      const numbers = Array.from({ length: 20 }, (_, index) => index)
      const from = client()
      await Promise.all(numbers.map(async (number) => {
        const { text, last } = await read({ models: [`openai:n${number}~text=number-${number}~split-random=${number}`] }, from)
        equal([text, last.response?.text], [`number-${number}`, `number-${number}`])
      }))
    },

    async 'a connection that is cut' () {
      let requests = 0
      const fetch = (...given) => {
        requests++
        return globalThis.fetch(...given)
      }
      const from = client(place.cutting, { fetch, reconnect: { minDelay: 1, maxDelay: 20 } })
      const { messages, error, text, last } = await read({ models: ['openai:severed~chunks=200~chunk-delay=3'] }, from)
      if (place.resumable) {
        const expected = Array.from({ length: 200 }, (_, index) => `c${index + 1} `)
        equal([messages.slice(0, -1).map(({ content }) => content), error], [expected, undefined])
        equal([last.type, last.response.text], ['done', text])
        ok(requests > 4, `${requests} requests`)
      } else {
        equal([messages.length > 0, error.code, error.lastEventId, requests], [true, 'CONNECTION_LOST', undefined, 1])
      }
    },

    async 'a connection that is cut and that nobody wants back' () {
      const { messages, error } = await read({ models: ['openai:severed~chunks=200~chunk-delay=3'], resume: false }, client(place.cutting))
      equal([messages.length > 0, error.code, error.lastEventId], [true, 'CONNECTION_LOST', undefined])
    }
  }
}
