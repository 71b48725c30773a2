// docs/asyncapi.yaml is valid AsyncAPI 3, and names the operations, pushes and codes that docs/protocol.md has.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';
import { Parser } from '@asyncapi/parser';

const read = (name) => readFile(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
const { document, diagnostics } = await new Parser().parse(await read('asyncapi.yaml'));
const protocol = await read('protocol.md');
/** The words in backticks in the first cells of a table that begins with a line. */
function column(head) {
  const rows = protocol.slice(protocol.indexOf(head)).split('\n\n')[0].split('\n').slice(2);
  return rows.flatMap((row) => Array.from(row.split('|')[1].matchAll(/`(\w+)`/g), (m) => m[1])).sort();
}

test('the document is valid', () => {
  assert.deepEqual(diagnostics.filter((d) => d.severity === 0).map((d) => `${d.path.join('/')}: ${d.message}`), []);
});

test('it has the operations, pushes and codes of the protocol', () => {
  const { operations, channels, components } = document.json();
  assert.deepEqual(Object.keys(operations).filter((name) => name !== 'push').sort(), column('| op | fields | answer |'));
  const pushes = Object.keys(channels.connect.messages).filter((name) => name.startsWith('push_')).map((name) => name.slice(5));
  assert.deepEqual(pushes.sort(), column('| push | fields | meaning |'));
  assert.deepEqual([...components.schemas.Code.enum].sort(), column('| code | HTTP | close | retry | meaning |'));
});
