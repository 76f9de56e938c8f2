// The contract in Node: `AI_WARP_CLIENT` is the folder of the built package.

import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'
import { contract } from './contract.mjs'
import { resume } from './resume.mjs'

const load = (name) => import(pathToFileURL(join(process.env.AI_WARP_CLIENT, name)))
// Both, as a page has them: the package, and how its module is started, which tells of its memory.
const client = { ...await load('index.js'), start: (await load('glue.js')).default }

for (const [name, check] of Object.entries({ ...contract(client), ...resume(client) })) {
  test(name, { timeout: 30_000 }, () => check())
}
