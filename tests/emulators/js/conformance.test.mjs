// Drives the unmodified @google/genai against the emulator at GEMINI_URL; one test for each thing the SDK can do there.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { GoogleGenAI } from '@google/genai';

const url = process.env.GEMINI_URL;
const model = 'gemini-2.5-flash';
const ai = new GoogleGenAI({ apiKey: 'k', httpOptions: { baseUrl: url } });
let folder;

before(async () => { folder = await mkdtemp(join(tmpdir(), 'conformance-')); });
after(async () => { await rm(folder, { recursive: true }); });
beforeEach(async () => { await control('reset', 'POST', {}); await control('faults', 'PUT', {}); });

async function control(what, method, body) {
  const answer = await fetch(`${url}/control/${what}`, { method, body: body && JSON.stringify(body) });
  assert.equal(answer.status, 200);
  return answer.json();
}

const line = (key, text, more = {}) => JSON.stringify({ key, request: { contents: [{ parts: [{ text }] }], ...more } });

async function upload(lines) {
  const path = join(folder, 'in.jsonl');
  await writeFile(path, lines.join('\n') + '\n');
  return ai.files.upload({ file: path, config: { mimeType: 'jsonl', displayName: 'input' } });
}

async function all(pager) {
  const found = [];
  for await (const item of pager) found.push(item);
  return found;
}

test('a file is uploaded, looked at, listed and deleted', async () => {
  const file = await upload([line('a', 'one')]);
  assert.equal(file.state, 'ACTIVE');
  assert.equal((await ai.files.get({ name: file.name })).sizeBytes, file.sizeBytes);
  assert.deepEqual((await all(await ai.files.list())).map((f) => f.name), [file.name]);
  await ai.files.delete({ name: file.name });
  await assert.rejects(ai.files.get({ name: file.name }), { status: 403 });
});

test('a file of several chunks arrives whole', async () => {
  const blob = new Blob([new Uint8Array(20_000_000).fill(97)]);
  const file = await ai.files.upload({ file: blob, config: { mimeType: 'jsonl' } });
  assert.equal(file.sizeBytes, '20000000');
});

test('a batch from a file is created, listed, finished, and its results downloaded', async () => {
  const file = await upload([line('a', 'one'), line('b', 'two [[emulate:error=13]]'), line('c', '[[emulate:block]]')]);
  const job = await ai.batches.create({ model, src: file.name, config: { displayName: 'mine' } });
  assert.match(job.name, /^batches\/[a-z0-9]{36}$/);
  const done = await ai.batches.get({ name: job.name });
  assert.equal(done.state, 'JOB_STATE_SUCCEEDED');
  assert.equal(done.displayName, 'mine');
  assert.deepEqual((await all(await ai.batches.list())).map((b) => b.name), [job.name]);
  const path = join(folder, 'out.jsonl');
  await ai.files.download({ file: done.dest.fileName, downloadPath: path });
  const text = await written(path, 3);
  const rows = Object.fromEntries(text.trim().split('\n').map(JSON.parse).map((row) => [row.key, row]));
  assert.equal(rows.a.response.candidates[0].finishReason, 'STOP');
  assert.equal(rows.b.error.code, 13);
  assert.equal(rows.c.response.promptFeedback.blockReason, 'PROHIBITED_CONTENT');
});

// The SDK's download resolves before its stream is on disk: look until the lines are there.
async function written(path, lines) {
  for (;;) {
    const text = await readFile(path, 'utf8').catch(() => '');
    if (text.split('\n').length > lines) return text;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('an inline batch answers inline, with its metadata', async () => {
  const src = [{ contents: [{ role: 'user', parts: [{ text: 'hi' }] }], metadata: { key: 'r1' } }];
  const job = await ai.batches.create({ model, src });
  const [answer] = (await ai.batches.get({ name: job.name })).dest.inlinedResponses;
  assert.equal(answer.metadata.key, 'r1');
  assert.ok(answer.response.candidates[0].content.parts[0].text);
});

test('a batch of embeddings answers vectors', async () => {
  const contents = [{ parts: [{ text: 'one' }] }, { parts: [{ text: 'two' }] }];
  const src = { inlinedRequests: { contents, config: { outputDimensionality: 8 } } };
  const job = await ai.batches.createEmbeddings({ model: 'gemini-embedding-001', src });
  const found = (await ai.batches.get({ name: job.name })).dest.inlinedEmbedContentResponses;
  assert.deepEqual(found.map((item) => item.response.embedding.values.length), [8, 8]);
});

test('a running batch is cancelled, then deleted', async () => {
  await control('faults', 'PUT', { running_seconds: 3600 });
  const file = await upload([line('a', 'one')]);
  const job = await ai.batches.create({ model, src: file.name });
  await ai.batches.cancel({ name: job.name });
  assert.equal((await ai.batches.get({ name: job.name })).state, 'JOB_STATE_CANCELLED');
  await ai.batches.delete({ name: job.name });
  await assert.rejects(ai.batches.get({ name: job.name }), { status: 404 });
});

test('tokens are counted, requests answered, texts embedded, models listed', async () => {
  assert.equal((await ai.models.countTokens({ model, contents: '12345678' })).totalTokens, 2);
  const answer = await ai.models.generateContent({ model, contents: 'hello' });
  assert.ok(answer.text);
  const { promptTokenCount, candidatesTokenCount, totalTokenCount } = answer.usageMetadata;
  assert.equal(totalTokenCount, promptTokenCount + candidatesTokenCount);
  const vectors = await ai.models.embedContent({ model: 'gemini-embedding-001', contents: ['a', 'b'] });
  assert.deepEqual(vectors.embeddings.map((item) => item.values.length), [3072, 3072]);
  assert.equal((await ai.models.get({ model })).name, `models/${model}`);
  assert.ok((await all(await ai.models.list())).length > 5);
});

test('a cached content is created, changed, listed and deleted', async () => {
  const cache = await ai.caches.create({ model, config: { contents: 'a long text'.repeat(1000), ttl: '60s' } });
  const changed = await ai.caches.update({ name: cache.name, config: { ttl: '7200s' } });
  assert.ok(changed.expireTime > cache.expireTime);
  assert.deepEqual((await all(await ai.caches.list())).map((c) => c.name), [cache.name]);
  const answer = await ai.models.generateContent({ model, contents: 'x', config: { cachedContent: cache.name } });
  assert.equal(answer.usageMetadata.cachedContentTokenCount, 2750);
  await ai.caches.delete({ name: cache.name });
  await assert.rejects(ai.caches.get({ name: cache.name }), { status: 403 });
});

test('an unknown model and a full quota are refused as the service does', async () => {
  const src = [{ contents: [{ parts: [{ text: 'hi' }] }] }];
  await assert.rejects(ai.batches.create({ model: 'gemini-0', src }), { status: 404 });
  await control('faults', 'PUT', { calls: [{ call: 'create', status: 429, retry_seconds: 7 }] });
  await assert.rejects(ai.batches.create({ model, src }), (error) => error.status === 429 && error.message.includes('7s'));
});

test('a lost answer leaves a batch behind', async () => {
  await control('faults', 'PUT', { calls: [{ call: 'create', lose: true, times: 1 }] });
  const src = [{ contents: [{ parts: [{ text: 'hi' }] }] }];
  await assert.rejects(ai.batches.create({ model, src, config: { displayName: 'lost' } }));
  assert.deepEqual((await all(await ai.batches.list())).map((b) => b.displayName), ['lost']);
});
