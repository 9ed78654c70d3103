// The best that Node does: fastify with a compiled schema, ONNX Runtime on one thread, no telemetry.
//   node server.js PORT MODEL
'use strict'

const fastify = require('fastify')
const ort = require('onnxruntime-node')

const BLOCKED_CUSTOMERS = new Set([323, 1693, 4354, 4259, 3879, 3544, 2375])
const BLOCKED_TERMINALS = new Set([4692, 4923, 79, 3769, 5899, 9251])

const windows = [1, 7, 30]
const features = ['TX_AMOUNT', 'TX_DURING_WEEKEND', 'TX_DURING_NIGHT',
  ...windows.flatMap(d => [`CUSTOMER_ID_NB_TX_${d}DAY_WINDOW`, `CUSTOMER_ID_AVG_AMOUNT_${d}DAY_WINDOW`]),
  ...windows.flatMap(d => [`TERMINAL_ID_NB_TX_${d}DAY_WINDOW`, `TERMINAL_ID_RISK_${d}DAY_WINDOW`])]
const integers = ['TRANSACTION_ID', 'CUSTOMER_ID', 'TERMINAL_ID', 'TX_TIME_SECONDS', 'TX_TIME_DAYS']

const properties = { TX_DATETIME: { type: 'string', format: 'iso-date-time' } }
for (const name of integers) properties[name] = { type: 'integer' }
for (const name of features) properties[name] = { type: 'number' }
for (const name of ['TX_DURING_WEEKEND', 'TX_DURING_NIGHT']) properties[name] = { type: 'integer', enum: [0, 1] }

const schema = {
  body: { type: 'object', required: Object.keys(properties), properties },
  response: {
    200: { type: 'object', properties: { is_fraud: { type: 'boolean' }, fraud_probability: { type: 'number' } } }
  }
}

function refusal (t) {
  const average = t.CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW
  if (BLOCKED_CUSTOMERS.has(t.CUSTOMER_ID)) return 'the customer is blocked'
  if (BLOCKED_TERMINALS.has(t.TERMINAL_ID)) return 'the terminal is blocked'
  if (average > 0 && t.TX_AMOUNT > 100 && t.TX_AMOUNT > 5 * average) return 'the amount is far above the customer\'s average'
  return null
}

async function main (port, model) {
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 })
  const app = fastify({ ajv: { customOptions: { coerceTypes: false } } })
  app.post('/predict', { schema }, async (request, reply) => {
    const transaction = request.body
    const detail = refusal(transaction)
    if (detail) return reply.code(403).send({ detail })
    const row = new Float32Array(features.length)
    for (let i = 0; i < row.length; i++) row[i] = transaction[features[i]]
    const tensor = new ort.Tensor('float32', row, [1, row.length])
    const { probabilities } = await session.run({ features: tensor }, ['probabilities'])
    const probability = probabilities.data[1]
    return { is_fraud: probability >= 0.5, fraud_probability: probability }
  })
  await app.listen({ host: '127.0.0.1', port })
}

main(Number(process.argv[2]), process.argv[3]).catch(error => {
  console.error(error)
  process.exit(1)
})
