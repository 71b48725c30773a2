// Usernames in text, and names in the midst of sentences.

import assert from 'node:assert/strict';
import test from 'node:test';
import { isolate, plain } from '../../../web/js/bidi.js';
import { mentionPrefix, finder, fold, mentionsIn } from '../../../web/js/names.js';

const users = (...names) => finder(names.map((username, i) => ({ id: i + 1, username })));
const named = (text, find) => mentionsIn(text, find).map(({ who, text: name }) => `${name}=${who.id}`);

test('names are equal without regard to case, composition and width', () => {
  for (const [a, b] of [['ben', 'BEN'], ['García', 'GARCÍA'], ['garcía', 'garci\u0301a'], ['straße', 'STRASSE'], ['οδος', 'ΟΔΟΣ'], ['οδοσβ', 'ΟΔΟΣΒ'], ['ｂｅｎ', 'Ben'], ['ｶﾞｶﾅ', 'ガカナ'], ['한국인', '한국인'.normalize('NFD')]]) {
    assert.equal(fold(a), fold(b), `${a} ${b}`);
  }
  assert.notEqual(fold('ben'), fold('bén'));
});

test('a mention is found whatever its case, and whatever stands around it', () => {
  const find = users('ben', 'cleo', 'garcía', 'नमस्ते', '한국인');
  for (const text of ['@Ben', '@CLEO', '(@ben', '"@ben"', 'hello,@ben!', '…@ben.', '@GARCÍA', '@garci\u0301a', '@नमस्ते', `@${'한국인'.normalize('NFD')}`, '@ben’s', '@ben-related', '¿@ben?']) {
    assert.equal(named(text, find).length, 1, text);
  }
  for (const text of ['anna@ben', 'anna@ben.org', '@benjamin', '@be', '@', '@.ben', '@@', 'é@ben', 'e\u0301@ben']) {
    assert.deepEqual(named(text, find), [], text);
  }
  const more = users('ben', 'می‌خواهم', 'カナ');
  for (const text of ['❤️@ben', '☀️@ben', '1️⃣@ben', '👍🏽@ben', '请@ben', 'こんにちは@ben', 'สวัสดี@ben', '＠ben', '_@ben_', '**@ben**', '@می‌خواهم', '@ｶﾅ']) {
    assert.equal(named(text, more).length, 1, text);
  }
  for (const text of ['1@ben', 'a_@ben', 'привет@ben', '안녕@ben', 'שלום@ben']) {
    assert.deepEqual(named(text, more), [], text);
  }
  assert.deepEqual(named('@ben, @Cleo and @ben', find), ['@ben=1', '@Cleo=2', '@ben=1']);
});

test('of names that fit the longest is meant', () => {
  const find = users('ben', 'ben.li', 'ben.li-2', 'a_b');
  assert.deepEqual(named('@ben.li-2 @ben.li- @ben.lim @ben. @A_B_c', find), ['@ben.li-2=3', '@ben.li=2', '@ben=1', '@ben=1', '@A_B=4']);
});

test('of users whose names differ by more than the server folds, the one that is written is meant', () => {
  assert.deepEqual(named('@straße @strasse @STRASSE', users('strasse', 'straße')), ['@straße=2', '@strasse=1', '@STRASSE=1']);
});

test('a name that is being written is known by its at sign', () => {
  assert.equal(mentionPrefix('hello @be'), 'be');
  assert.equal(mentionPrefix('(@Gar'), 'Gar');
  assert.equal(mentionPrefix('@'), '');
  assert.equal(mentionPrefix('anna@be'), undefined);
  assert.equal(mentionPrefix('@ben '), undefined);
});

test('a name in a sentence turns nothing around it', () => {
  assert.equal(plain('a\u202eb\u2066c\u2069d'), 'abcd');
  assert.equal(isolate('Anna'), 'Anna');
  assert.equal(isolate('דנה'), '\u2068דנה\u2069');
  assert.equal(isolate('\u2069\u202eAnna'), 'Anna');
});
