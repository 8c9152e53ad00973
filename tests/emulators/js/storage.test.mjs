// The local Cloud Storage server and the unmodified JavaScript client; run by test_storage_clients.py.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { Storage } from '@google-cloud/storage';

const storage = new Storage({ projectId: 'demo-local', apiEndpoint: process.env.STORAGE_EMULATOR_HOST });
const bucket = storage.bucket('input');

for (const [kind, resumable, size] of [['small', false, 100], ['whole', false, 9 << 20], ['resumable', true, 9 << 20]]) {
  test(`a ${kind} upload comes back byte for byte, with its metadata`, async () => {
    const data = randomBytes(size);
    const file = bucket.file(`js/${kind} é.jsonl`);
    await file.save(data, { resumable, contentType: 'application/jsonl', metadata: { metadata: { model: 'm' } } });
    const [back] = await file.download();
    assert.ok(back.equals(data));
    const [described] = await file.getMetadata();
    assert.equal(described.contentType, 'application/jsonl');
    assert.deepEqual(described.metadata, { model: 'm' });
    assert.equal(Number(described.size), size);
  });
}

test('an upload whose object is there already is refused', async () => {
  const file = bucket.file('js/once');
  await file.save('1', { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } });
  await assert.rejects(file.save('2', { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } }), { code: 412 });
});

test('objects are listed by folder, copied, moved, described anew and deleted', async () => {
  await bucket.file('js/d/a').save('a', { resumable: false });
  const [, , page] = await bucket.getFiles({ prefix: 'js/', delimiter: '/', autoPaginate: false });
  assert.deepEqual(page.prefixes, ['js/d/']);
  await bucket.file('js/d/a').copy(bucket.file('js/d/b'));
  await bucket.file('js/d/b').move('js/d/c');
  await bucket.file('js/d/c').setMetadata({ metadata: { again: 'yes' } });
  const [described] = await bucket.file('js/d/c').getMetadata();
  assert.deepEqual(described.metadata, { again: 'yes' });
  await bucket.combine(['js/d/a', 'js/d/c'], 'js/d/both');
  assert.equal(String(await bucket.file('js/d/both').download()), 'aa');
  await bucket.deleteFiles({ prefix: 'js/d/' });
  const [left] = await bucket.getFiles({ prefix: 'js/d/' });
  assert.deepEqual(left, []);
});
