// What is said of a new password before it is sent.

import assert from 'node:assert/strict';
import test from 'node:test';
import { weakness } from '../../../web/js/password.js';

test('what is easily guessed is told so, in the words of its fault', () => {
  for (const [password, why] of [
    ['short', /at least 8/], ['aaaaaaaa', /same few/], ['abababab', /same few/], ['abcabcabc', /same few/], ['12345678', /row/], ['87654321', /row/],
    ['QWERTYUIOP', /row/], ['abcdefgh', /row/], ['йцукенгш', /row/], ['lkjhgfdsa', /row/],
    ['вася', /at least 8/], ['a\u0308o\u0308u\u0308e\u0301', /at least 8/], ['😀😀😀😀', /at least 8/],
    ['anna1234', /your name/], ['ANNA.WEISS', /your name/], ['annaweiss', /your name/], ['weissanna1', /your name/], ['Weiss1985', /your name/],
    ['weiss_anna', /your name/], ['Weiß-Anna-85', /your name/], ['ssiewanna', /your name/], ['example.org1', /your name/],
  ]) {
    assert.match(weakness(password, ['anna.weiss', 'Anna Weiß', 'anna@example.org']), why, password);
  }
});

test('nothing is said against others, which the server judges', () => {
  for (const password of ['password', 'Password2024!', '15.03.1987', 'anna2024!', 'äöüßéàçñ', 'correct horse battery', 'staple battery horse', 'Zx9#kLq2', 'пароль не из словаря', '四つの無関係な言葉', 'annabel lee by the sea']) {
    assert.equal(weakness(password, ['anna']), '', password);
  }
});
