// An S3-compatible server that checks signatures (s3rver), with a way for tests to look at it and to break it.
//
//   node s3_server.cjs MODULES DIRECTORY BUCKET   prints "s3: listening on 127.0.0.1:PORT" when it is ready
//
// Everything below /-/ is ours and not S3's:
//   GET  /-/counts         {"GET key": n, …}: requests that reached the store, refused ones excluded
//   GET  /-/refused        how many requests were answered 403
//   POST /-/reset          forgets the counts
//   POST /-/set?delay=MS&mode=ok|slowdown|reset|hang   delay before each answer, and how to answer
'use strict'
const http = require('node:http')
const path = require('node:path')

const [modules, directory, bucket] = process.argv.slice(2)
const S3rver = require(path.join(modules, '@20minutes/s3rver'))

const state = { delay: 0, mode: 'ok', counts: new Map(), refused: 0 }

const SLOW_DOWN =
  '<?xml version="1.0" encoding="UTF-8"?>\n' +
  '<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
const UNSIGNED =
  '<?xml version="1.0" encoding="UTF-8"?>\n' +
  '<Error><Code>AccessDenied</Code><Message>Requests must be signed.</Message></Error>'

function control(request, response, url) {
  let answer = {}
  if (url.pathname === '/-/counts') answer = Object.fromEntries(state.counts)
  if (url.pathname === '/-/refused') answer = state.refused
  if (url.pathname === '/-/reset') {
    state.counts.clear()
    state.refused = 0
  }
  if (url.pathname === '/-/set') {
    if (url.searchParams.has('delay')) state.delay = Number(url.searchParams.get('delay'))
    if (url.searchParams.has('mode')) state.mode = url.searchParams.get('mode')
  }
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify(answer))
}

function refuse(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/xml', 'content-length': body.length })
  response.end(body)
}

function count(request, response, url) {
  const key = decodeURIComponent(url.pathname).split('/').slice(2).join('/')
  const name = `${request.method} ${key}`
  response.on('finish', () => {
    if (response.statusCode === 403) state.refused += 1
  })
  state.counts.set(name, (state.counts.get(name) ?? 0) + 1)
}

async function main() {
  const s3 = new S3rver({ silent: true, directory, configureBuckets: [{ name: bucket }] })
  await s3.configureBuckets()
  const answer = s3.callback()
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, 'http://s3')
    if (url.pathname.startsWith('/-/')) return control(request, response, url)
    count(request, response, url)
    if (state.mode === 'reset') return request.socket.resetAndDestroy()
    if (state.mode === 'hang') return undefined
    if (state.mode === 'slowdown') return refuse(response, 503, SLOW_DOWN)
    // The server lets anonymous requests in; a photo bucket does not.
    if (!request.headers.authorization) return refuse(response, 403, UNSIGNED)
    setTimeout(() => answer(request, response), state.delay)
  })
  server.keepAliveTimeout = 20_000
  server.listen(0, '127.0.0.1', () => {
    console.log(`s3: listening on 127.0.0.1:${server.address().port}`)
  })
}

main()
