// The suite behind cache-tests.fyi (npm http-cache-tests): its origin and its client on loopback.
//
//   node cache_tests.mjs MODULES origin           prints "cache-tests: listening on 127.0.0.1:PORT"
//   node cache_tests.mjs MODULES client URL [ID…]  runs all tests, or these, through URL; prints one JSON object:
//                                                 {"id": {suite, kind, depends_on, result: true | [kind, words]}}
//   node cache_tests.mjs MODULES peers            the same of the published results of caches: {"id": [names]}
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, role, base, ...wanted] = process.argv.slice(2)
const suite = path.join(modules, 'http-cache-tests')
const load = async file => await import(pathToFileURL(path.join(suite, file)).href)

async function serve () {
  const handlers = {}
  for (const name of ['config', 'test', 'state']) handlers[name] = (await load(`server/handle-${name}.mjs`)).default
  const server = http.createServer((request, response) => {
    const [, kind, ...rest] = new URL(request.url, 'http://origin/').pathname.split('/')
    if (kind in handlers) return handlers[kind](rest, request, response)
    response.writeHead(404).end()
  })
  server.keepAliveTimeout = 60000
  server.listen(0, '127.0.0.1', () => console.log(`cache-tests: listening on 127.0.0.1:${server.address().port}`))
}

async function suites () {
  const all = (await load('tests/index.mjs')).default
  return [...all, (await load('tests/surrogate-control.mjs')).default]
}

const kindOf = test => test.kind ?? 'required'

async function run () {
  const { runTests, getResults } = await load('client/runner.mjs')
  const fetch = (await import(pathToFileURL(path.join(modules, 'node-fetch/lib/index.mjs')).href)).default
  let chosen = await suites()
  if (wanted.length > 0) {
    chosen = chosen.map(set => ({ ...set, tests: set.tests.filter(test => wanted.includes(test.id)) }))
    for (const set of chosen) for (const test of set.tests) test.dump = true
  }
  await runTests(chosen, fetch, false, base, 400)
  const results = getResults()
  const report = {}
  for (const set of chosen) {
    for (const test of set.tests) {
      if (!(test.id in results)) continue
      report[test.id] = { suite: set.id, kind: kindOf(test), depends_on: test.depends_on ?? [], result: results[test.id] }
    }
  }
  console.log(JSON.stringify(report, null, 1))
}

// Which of the caches passed a test, in what the suite publishes; a test whose dependency failed counts for nothing.
async function peers () {
  const tests = new Map()
  for (const set of await suites()) for (const test of set.tests) tests.set(test.id, test)
  const report = {}
  for (const name of ['apache', 'nginx', 'squid', 'trafficserver', 'varnish']) {
    const results = JSON.parse(fs.readFileSync(path.join(suite, 'results', `${name}.json`)))
    const passes = id => results[id] === true && (tests.get(id)?.depends_on ?? []).every(passes)
    for (const id of tests.keys()) if (passes(id)) (report[id] ??= []).push(name)
  }
  console.log(JSON.stringify(report, null, 1))
}

await { origin: serve, client: run, peers }[role]()
