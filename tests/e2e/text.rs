//! Real sentences: several scripts, right-to-left, combining marks, emoji.

const SENTENCES: [&str; 12] = [
    "Grüß Gott! Kommst du heute Abend mit ins Kino?",
    "¿Dónde está la biblioteca más cercana, por favor?",
    "Het regent al de hele dag, maar morgen wordt het mooi.",
    "Где можно купить билеты на поезд до Киева?",
    "今日はとても暑いですね。冷たいお茶を飲みませんか？",
    "你好，我们明天早上九点在车站见面吧。",
    "متى يبدأ الاجتماع غدًا؟ أرجو أن تكون بخير.",
    "האם קראת את הספר שהמלצתי לך עליו?",
    "नमस्ते, क्या आप कल शाम को मेरे साथ चाय पिएँगे?",
    "สวัสดีครับ วันนี้อากาศดีมาก ไปเดินเล่นกันไหม",
    "Cafe\u{301} au lait, s’il vous plai\u{302}t \u{1f642}\u{200d}\u{2195}\u{fe0f}",
    "Let's ship it \u{1f680}\u{1f389} \u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{1f1fa}\u{1f1f3}, shall we?",
];

/// The sentence for a number.
pub fn sentence(at: usize) -> &'static str {
    SENTENCES[at % SENTENCES.len()]
}
