// What a message's words mean: whom they mention, and what stands in them that mentions nobody.

import assert from 'node:assert/strict';
import test from 'node:test';
import { mentionedIn, prose } from '../../../web/js/text.js';

const users = ['ben', 'cleo', 'b'].map((username, i) => ({ id: i + 1, username }));

test('a name in code or in an address mentions nobody', () => {
  for (const text of ['`@ben`', 'run `mail @ben now`', '```\n@ben\n```', 'see\n```rust\nlet a = @ben;\n```', 'https://example.org/@ben', 'https://example.org/@ben/1', '(https://example.org/@ben).', 'http://x/?q=@ben&r=@cleo']) {
    assert.deepEqual(mentionedIn(text, users), [], text);
  }
});

test('a name beside code or an address is mentioned, once', () => {
  for (const text of ['`a` @ben', '`a`@ben', '@ben: `@cleo`', '```\n@cleo\n```\n@ben', 'https://example.org/@cleo @ben', 'https://example.org/, @ben', '`open @ben', '@ben @BEN']) {
    assert.deepEqual(mentionedIn(text, users), [1], text);
  }
  assert.deepEqual(mentionedIn('@cleo, @ben', users), [2, 1]);
});

test('an address that is being written is no name that is being written', () => {
  assert.doesNotMatch(prose('https://example.org/@be'), /@/);
  assert.match(prose('https://example.org/ @be'), /@be$/);
});
