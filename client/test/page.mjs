// All checks in a page. What came of them is `globalThis.results`: the names of those that passed, and of each other why.
// The query of the page's address tells where the gateway is.

import * as index from '/client/index.js'
import start from '/client/glue.js'
import { contract } from './contract.mjs'
import { resume } from './resume.mjs'
import { gateway } from './gateway.mjs'

const client = { ...index, start }
const place = JSON.parse(new URLSearchParams(location.search).get('place'))
const results = { passed: [], failed: [] }

addEventListener('unhandledrejection', ({ reason }) => results.failed.push(`unhandled: ${reason?.stack ?? reason}`))

for (const [name, check] of Object.entries({ ...contract(client), ...resume(client), ...gateway(client, place) })) {
  try {
    await check()
    results.passed.push(name)
  } catch (error) {
    results.failed.push(`${name}: ${error.stack}`)
  }
}

globalThis.results = results
