// What is said of a new password before it is sent.

import assert from 'node:assert/strict';
import test from 'node:test';
import { weakness } from '../../../web/js/password.js';

test('what is easily guessed is told so, in the words of its fault', () => {
  for (const [password, why] of [
    ['short', /at least 8/], ['aaaaaaaa', /same few/], ['abababab', /same few/], ['abcabcabc', /same few/], ['12345678', /row/], ['87654321', /row/],
    ['QWERTYUIOP', /row/], ['abcdefgh', /row/], ['password', /common/], ['Password1!', /common/], ['P@ssw0rd', /common/], ['anna1234', /your name/], ['ANNA.WEISS', /your name/],
  ]) {
    assert.match(weakness(password, ['anna', 'Anna Weiß', 'anna@example.org']), why, password);
  }
});

test('nothing is said against others', () => {
  for (const password of ['correct horse battery', 'staple battery horse', 'Zx9#kLq2', 'пароль не из словаря', '四つの無関係な言葉', 'annabel lee by the sea']) {
    assert.equal(weakness(password, ['anna']), '', password);
  }
});
