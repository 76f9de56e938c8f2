// How a broken stream is come back to. On a fake gateway that speaks the contract.

import { equal, ok } from './assert.mjs'
import {
  PLACE, answering, away, content, cutEvery, end, failure, readAll, remembering, resumable, silent, stream, whole
} from './fake.mjs'

const quick = { minDelay: 1, maxDelay: 4, maxAttempts: 3 }

const texts = (messages) => messages.map((message) => message.content ?? message.response?.text ?? message.error.code)

export const resume = ({ buildClient, start }) => {
  const client = (fetch, options) => buildClient({ url: 'http://gateway', fetch, reconnect: quick, ...options })
  const read = async (fetch, options, ask) => {
    const { stream } = await client(fetch, options).ask({ prompt: 'hi', ...ask })
    const { messages, error } = await readAll(stream)
    return { texts: texts(messages), error }
  }

  return {
    async 'a stream that is cut anywhere, any number of times, is whole' () {
      const events = []
      for (let id = 1; id <= 20; id++) {
        events.push({ id: String(id), text: content(id, `${id}: Grüße 🦀 `) })
      }
      events.push({ id: '21', text: end(21) })
      const longest = Math.max(...events.map(({ text }) => new TextEncoder().encode(text).length))
      const expected = [...events.slice(0, 20).map((_, index) => `${index + 1}: Grüße 🦀 `), 'all']
      for (let bytes = longest; bytes < longest + 60; bytes++) {
        const { fetch, asked } = answering(cutEvery(events, bytes))
        equal(await read(fetch), { texts: expected, error: undefined }, `cut every ${bytes} bytes`)
        ok(asked.length > 10, `${asked.length} connections`)
      }
    },

    async 'the request that comes back has the session for the history, and the last event' () {
      const { fetch, asked } = answering(resumable([content(1)], { then: 'break' }), resumable([end(2)]))
      const history = [{ prompt: 'a', response: 'b' }]
      equal((await read(fetch, {}, { history, temperature: 1 })).texts, ['c1 ', 'all'])
      equal(asked.map(({ body }) => body), [
        { prompt: 'hi', temperature: 1, history, stream: true, resume: true },
        { prompt: 'hi', temperature: 1, sessionId: 's1', stream: true, resume: true }
      ])
      equal(asked.map(({ headers }) => headers.get('last-event-id')), [null, '1'])
    },

    async 'before any event the place of the stream is enough' () {
      const { fetch, asked } = answering(resumable([], { then: 'break' }), resumable([content(1), end(2)]))
      equal((await read(fetch)).texts, ['c1 ', 'all'])
      equal(asked[1].headers.get('last-event-id'), PLACE)
    },

    async 'an end without the last event, silence and detachment are broken connections' () {
      for (const broken of [
        resumable([content(1)]),
        resumable([content(1)], { then: 'hang' }),
        resumable([content(1), failure('STREAM_DETACHED')], { then: 'hang' })
      ]) {
        const { fetch, asked } = answering(broken, resumable([content(2), end(3)]))
        equal(await read(fetch, { timeout: 50 }), { texts: ['c1 ', 'c2 ', 'all'], error: undefined })
        equal([asked.length, asked[1].headers.get('last-event-id')], [2, '1'])
      }
    },

    async 'what may pass on the way back is waited for' () {
      const portal = whole(200, '<html>', { 'content-type': 'text/html' })
      for (const obstacle of [away, whole(502, ''), whole(503, ''), whole(504, ''), whole(429, ''), portal]) {
        const { fetch, asked } = answering(resumable([content(1)], { then: 'break' }), obstacle, resumable([end(2)]))
        equal((await read(fetch)).texts, ['c1 ', 'all'])
        equal(asked.length, 3, 'requests')
      }
      const { fetch, asked } = answering(resumable([content(1)], { then: 'break' }), silent, resumable([end(2)]))
      equal((await read(fetch, { timeout: 50 })).texts, ['c1 ', 'all'])
      ok(asked[1].signal.aborted, 'the silent one is given up')
    },

    async 'what does not pass ends the stream in an error that tells where it was' () {
      const expired = whole(410, { code: 'STREAM_EXPIRED', message: 'gone' })
      const { fetch, asked } = answering(resumable([content(1)], { then: 'break' }), expired)
      const { texts, error } = await read(fetch)
      equal([texts, error.code, error.status], [['c1 '], 'STREAM_EXPIRED', 410])
      equal([error.lastEventId, error.sessionId, asked.length], ['1', 's1', 2])
      const late = whole(429, { code: 'TOO_MANY_STREAMS', message: 'many' }, { 'retry-after': '3600' })
      const patient = answering(resumable([content(1)], { then: 'break' }), late)
      const given = (await read(patient.fetch)).error
      equal([given.code, given.retryAfter, patient.asked.length], ['TOO_MANY_STREAMS', 3600, 2])
    },

    async 'a stream that the gateway gave up ends with a message' () {
      const { fetch, asked } = answering(resumable([content(1), failure('STREAM_INTERRUPTED', 2)]))
      equal([await read(fetch), asked.length], [{ texts: ['c1 ', 'STREAM_INTERRUPTED'], error: undefined }, 1])
    },

    async 'attempts that bring nothing come to an end' () {
      const log = remembering()
      const { fetch, asked } = answering(resumable([content(1)], { then: 'break' }), away)
      const { error } = await read(fetch, { logger: log.logger })
      equal([error.code, error.lastEventId, asked.length], ['CONNECTION_LOST', '1', 4])
      ok(/3 attempts.*fetch failed/.test(error.message) && error.cause instanceof TypeError, error.message)
      const warned = log.lines.filter(([line]) => line === 'warn AI stream interrupted, coming back')
      equal(warned.map(([, { attempt }]) => attempt), [1, 2, 3])
      equal(log.told().at(-1), 'error AI request error')
    },

    async 'a stream that cannot be come back to is not' () {
      for (const [options, ask, answer] of [
        [{}, {}, stream],
        [{}, { resume: false }, resumable],
        [{ reconnect: false }, {}, resumable]
      ]) {
        const { fetch, asked } = answering(answer([content(1)], { then: 'break' }))
        const { texts, error } = await read(fetch, options, ask)
        equal([texts, error.code, asked.length], [['c1 '], 'CONNECTION_LOST', 1])
      }
    },

    async 'a gateway that would begin anew is not listened to' () {
      const { fetch, asked } = answering(resumable([content(1)], { then: 'break' }), stream([content(1), end(2)]))
      const { texts, error } = await read(fetch)
      equal([texts, error.code, asked[1].signal.aborted], [['c1 '], 'INVALID_RESPONSE', true])
      const headers = { 'x-ai-warp-stream': '6e0a7d43-2e0c-8b3a-8d4b-6f0c00000000' }
      const other = answering(resumable([content(1)], { then: 'break' }), resumable([content(2), end(3)], { headers }))
      const given = await read(other.fetch)
      equal([given.texts, given.error.code, given.error.lastEventId], [['c1 '], 'INVALID_RESPONSE', '1'])
    },

    async 'a stream can be gone on with by hand' () {
      const { fetch, asked } = answering(away, resumable([content(6), end(7)]))
      equal((await read(fetch, {}, { sessionId: 's1', lastEventId: '5' })).texts, ['c6 ', 'all'])
      equal(asked.map(({ headers }) => headers.get('last-event-id')), ['5', '5'])
      const named = answering(resumable([end(7)]))
      await read(named.fetch, {}, { sessionId: 's1', resumeEventId: '6' })
      equal(named.asked[0].headers.get('last-event-id'), '6')
      const anew = answering(stream([content(1), end(2)]))
      const ask = { sessionId: 's1', resumeEventId: '6', resume: false }
      equal((await read(anew.fetch, {}, ask)).texts, ['c1 ', 'all'])
      equal(anew.asked[0].headers.get('last-event-id'), null)
    },

    async 'to abort or leave while it waits to come back ends the wait' () {
      const slow = { reconnect: { minDelay: 60_000, maxDelay: 60_000 } }
      const started = Date.now()
      const controller = new AbortController()
      const logger = { ...remembering().logger, warn: () => setTimeout(() => controller.abort()) }
      const aborting = answering(resumable([content(1)], { then: 'break' }))
      const { texts, error } = await read(aborting.fetch, { ...slow, logger }, { signal: controller.signal })
      equal([texts, error.code, error.lastEventId], [['c1 '], 'ABORTED', '1'])
      const leaving = answering(resumable([content(1)], { then: 'break' }))
      const { stream } = await client(leaving.fetch, slow).ask({ prompt: 'hi' })
      const iterator = stream[Symbol.asyncIterator]()
      await iterator.next()
      const next = iterator.next()
      await iterator.return()
      equal([(await next).done, aborting.asked.length, leaving.asked.length], [true, 1, 1])
      ok(Date.now() - started < 30_000, 'it waited')
    },

    async 'what is over is freed' () {
      // The module's own memory, which grows by pages and never shrinks.
      const { memory } = await start()
      const round = async () => {
        const { fetch } = answering(resumable([content(1, 'x'.repeat(10_000))], { then: 'break' }), resumable([end(2)]))
        await read(fetch)
        const left = answering(resumable([content(1), content(2)], { then: 'hang' }))
        for await (const message of (await client(left.fetch).ask({ prompt: 'hi' })).stream) {
          if (message) break
        }
        const ended = answering(resumable([content(1), end(2)], { then: 'hang' }))
        const controller = new AbortController()
        for await (const { type } of (await client(ended.fetch).ask({ prompt: 'hi', signal: controller.signal })).stream) {
          if (type === 'done') break
        }
        controller.abort()
        await client(away).ask({ prompt: 'x'.repeat(10_000) }).catch(() => {})
      }
      for (let count = 0; count < 50; count++) await round()
      const before = memory.buffer.byteLength
      for (let count = 0; count < 200; count++) await round()
      // The clients themselves are the garbage collector's to find.
      const growth = memory.buffer.byteLength - before
      ok(growth <= 4 * 65_536, `it has grown by ${growth} bytes`)
    },

    async 'the log tells of it' () {
      const log = remembering()
      const { fetch } = answering(resumable([content(1)], { then: 'break' }), resumable([end(2)]))
      await read(fetch, { logger: log.logger })
      equal(log.told(), [
        'debug Making AI request',
        'info AI request successful',
        'warn AI stream interrupted, coming back',
        'info AI stream resumed'
      ])
      equal(log.lines[2][1].lastEventId, '1')
    }
  }
}
