// Text of others in the midst of our own: what runs from right to left, or says by invisible characters that it does, must not
// turn what stands around it. In elements, <bdi> or `dir="auto"` keeps it apart; in plain text (titles, labels, notes), `isolate`.

/** Embeddings, overrides and isolates (UAX #9), and what ends a line: a name needs none, and an unbalanced one reaches beyond it. */
const CONTROLS = /[\u202a-\u202e\u2066-\u2069\u2028\u2029\u0000-\u001f]/g;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\u200f\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;

/** A name, or one line of text, without characters that steer others. @param {string} text */
export const plain = (text) => text.replace(CONTROLS, '');

/** The same, to be put into a sentence. @param {string} text */
export const isolate = (text) => (RIGHT_TO_LEFT.test(text) ? `\u2068${plain(text)}\u2069` : plain(text));
