//! Which new passwords are too easy to guess, by `zxcvbn`'s estimate and by what it doesn't know: names, and other alphabets than the
//! Latin one.
//!
//! Only new passwords are asked. One that is in use, or came from another service, stays good until it is changed.

use std::collections::HashSet;
use std::sync::LazyLock;

use icu_normalizer::DecomposingNormalizerBorrowed;
use icu_properties::props::{CanonicalCombiningClass, EnumeratedProperty};
use parlance_schema::Fault;
use zxcvbn::Match;
use zxcvbn::matching::patterns::MatchPattern;

use crate::store::name_key;

/// The power of ten that guesses must reach: a million is what the library's second of four scores begins at. Eight random characters
/// and two common words with a space between them have more, a common word with a few characters has less.
const GUESSES_LOG10_MIN: f64 = 6.0;
/// The same for what consists of nothing but words, dates, sequences and rows of keys: a word with a date has less.
const GUESSES_LOG10_KNOWN_MIN: f64 = 7.0;
/// Characters that are estimated. The time grows with more than the square of their number; what is hard to guess is so long before.
const JUDGED_CHARS_MAX: usize = 64;
/// Characters of a password that is estimated in other forms as well, of which there are dozens at worst.
const FORMS_CHARS_MAX: usize = 20;
/// Signs that the library takes for letters, besides digits and the usual ones. It tries all combinations of their meanings, which takes
/// a third of a second for a long password that has them all; so but for the first form of a short one they stand for themselves.
const RARELY_LETTERS: [char; 7] = ['(', '{', '[', '<', '|', '%', '+'];
/// The power of ten that guesses increase by where the words of a password are set apart.
const SPACES_LOG10: f64 = 3.0;
/// Characters of a password besides the user's names, below which it is no more than those.
const ADDED_CHARS_MIN: usize = 5;
/// Characters of a name that is looked for in a password.
const NAME_CHARS_MIN: usize = 3;
/// Different characters of a password.
const DIFFERENT_CHARS_MIN: usize = 4;
/// What stands between the parts of a name.
const BETWEEN: [char; 5] = [' ', '.', '_', '-', '@'];

/// The letters of other keyboards and alphabets, and what has their place on the keyboard or in the alphabet that the library knows.
/// Words that were typed for those of its lists are found so as well: `пароль` is `gfhjkm`.
const LAYOUTS: [(&str, &str); 14] = [
    ("!@#$%^&*()", "1234567890"),
    ("zyüöä!\"§$%&/()=", "yz[;'1234567890"),
    ("azqwm,;&é\"'(-è_çà", "qwaz;m,1234567890"),
    ("йцукенгшщзхъфывапролджэячсмитьбюёіїє", "qwertyuiop[]asdfghjkl;'zxcvbnm,.`s]'"),
    ("уеишщксдзцьяаожгтнвмчюйъэфхпрлб", "wertyuiop[asdfghjkl;'zxcvbnm,./"),
    ("явертъуиопшщасдфгхйклзьцжбнм", "qwertyuiop[]asdfghjklzxcvbnm"),
    ("љњертзуиопшђасдфгхјклчћѕџцвбнм", "qwertyuiop[]asdfghjkl;'zxcvbnm"),
    ("ερτυθιοπασδφγηξκλζχψωβνμ", "ertyuiopasdfghjklzxcvbnm"),
    ("קראטוןםפשדגכעיחלךףזסבהנמצתץ", "ertyuiopasdfghjkl;zxcvbnm,."),
    ("ضصثقفغعهخحجدشسيبلاتنمكطئءؤرىةوزظیک", "qwertyuiop[]asdfghjkl;'zxcvnm,./d;"),
    ("ابجدهوزحطيكلمنسعفصقرشت", "abcdefghijklmnopqrstuv"),
    ("\u{1107}\u{110c}\u{1103}\u{1100}\u{1109}\u{1106}\u{1102}\u{110b}\u{1105}\u{1112}", "qwertasdfg"),
    ("가나다라마바사아자차카타파하", "abcdefghijklmn"),
    ("一二三四五六七八九十", "1234567890"),
];

/// What the library's English lists lack: this service's name, and what passwords are called and made of elsewhere.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let words = "parlance \
        passwort kennwort geheim motdepasse contrasena contrasenya senha palavrapasse wachtwoord losenord adgangskode passord salasana \
        parool parole slaptazodis haslo hasło heslo jelszo geslo lozinka parola sifre şifre matkhau katasandi bonjour teamo tequiero \
        bienvenido willkommen frühling freitag kochamcie fortnite helloworld woaini 5201314 \
        пароль парола лозинка гасло привет привіт любовь солнышко любимая любимый здравствуйте \
        κωδικος κωδικός αγαπη αγάπη סיסמה סיסמא אהבה שלום \
        كلمةالسر كلمةالمرور مرحبا حبيبي احبك رمزعبور पासवर्ड नमस्ते รหัสผ่าน สวัสดี 密码 密碼 口令 我爱你 我愛你 你好 管理员 \
        パスワード ぱすわーど ひみつ あいしてる 愛してる こんにちは 비밀번호 암호 사랑해 안녕하세요";
    words.split_whitespace().map(name_key).collect()
});

/// Checks that a new password is not one of the first that somebody would try; `names` are the user's.
///
/// # Errors
/// Which rule it breaks, and what to do.
pub(super) fn check<'a>(password: &str, names: impl IntoIterator<Item = &'a str>) -> Result<(), Fault> {
    let folded = name_key(password);
    if folded.chars().collect::<HashSet<char>>().len() < DIFFERENT_CHARS_MIN {
        return Err(Why::Repeated.fault());
    }
    let names = parts(names);
    if is_little_more_than(&folded, &names) {
        return Err(Why::Named.fault());
    }
    let inputs: Vec<&str> = names.iter().chain(WORDS.iter()).map(String::as_str).collect();
    let judged: String = folded.chars().take(JUDGED_CHARS_MAX).collect();
    for (form, added) in forms(&judged) {
        let estimate = zxcvbn::zxcvbn(&form, &inputs);
        let known = estimate.sequence().iter().all(|part| part.pattern != MatchPattern::BruteForce);
        let min = if known { GUESSES_LOG10_KNOWN_MIN } else { GUESSES_LOG10_MIN };
        if estimate.guesses_log10() + added < min {
            return Err(why(estimate.sequence(), &names).fault());
        }
    }
    Ok(())
}

/// What makes a password easy to guess.
enum Why {
    Common,
    Repeated,
    InOrder,
    Named,
    Short,
}

impl Why {
    fn fault(&self) -> Fault {
        match self {
            Self::Common => Fault::invalid(
                "this password is too common; choose one that others don't use, such as four unrelated words",
            ),
            Self::Repeated => {
                Fault::invalid("this password repeats the same few characters; choose a longer one with more variety")
            }
            Self::InOrder => Fault::invalid(
                "this password is a simple sequence of letters, digits or neighbouring keys; choose one that is hard to guess, such as four unrelated words",
            ),
            Self::Named => Fault::invalid(
                "this password is little more than your name or e-mail address; choose one that doesn't contain them",
            ),
            Self::Short => {
                Fault::invalid("this password is easy to guess; choose a longer one, such as four unrelated words")
            }
        }
    }
}

/// The reason is the longest part that was recognised.
fn why(sequence: &[Match], names: &[String]) -> Why {
    let longest = sequence.iter().max_by_key(|part| part.j - part.i);
    match longest.map(|part| &part.pattern) {
        Some(MatchPattern::Dictionary(word)) if names.contains(&word.matched_word) => Why::Named,
        Some(MatchPattern::Dictionary(_)) => Why::Common,
        Some(MatchPattern::Repeat(_)) => Why::Repeated,
        Some(MatchPattern::Sequence(_) | MatchPattern::Spatial(_)) => Why::InOrder,
        Some(MatchPattern::Regex(_) | MatchPattern::Date(_) | MatchPattern::BruteForce) | None => Why::Short,
    }
}

/// The forms in which a password may be easier to guess, each with the power of ten that it has more guesses for what was left out.
///
/// The library takes each part of a password for a guess of its own, so that `word!2024` counts as hard: without its signs it is a
/// word and a year. The first sign is worth three guesses, as it is mostly the same one at the end, and each further sign ten. Two signs
/// may stand for letters.
fn forms(judged: &str) -> Vec<(String, f64)> {
    let chars = judged.chars().count();
    if chars > FORMS_CHARS_MAX {
        return vec![(judged.replace(RARELY_LETTERS, "~"), 0.0)];
    }
    let mut forms = vec![(judged.to_owned(), 0.0)];
    for text in [judged, &unmarked(judged)] {
        for kept in [None, Some("@$ "), Some(" "), Some("")] {
            let stays = |c: &char| c.is_alphanumeric() || kept.is_none_or(|kept| kept.contains(*c));
            let plain: String = text.chars().filter(stays).collect();
            // What has more signs than letters is hard to guess because of them.
            if plain.chars().count() < chars / 2 {
                continue;
            }
            let signs: f64 = text.chars().filter(|c| *c != ' ' && !stays(c)).map(|_| 1.0).sum();
            let spaces = if kept == Some("") && text.contains(' ') { SPACES_LOG10 } else { 0.0 };
            let added = (signs - 0.5).max(0.0) + spaces;
            let elsewhere = LAYOUTS.iter().map(|(theirs, ours)| typed(&plain, theirs, ours));
            for form in std::iter::once(plain.clone()).chain(elsewhere) {
                let form = form.replace(RARELY_LETTERS, "~");
                if forms.iter().all(|(known, _)| *known != form) {
                    forms.push((form, added));
                }
            }
        }
    }
    forms
}

/// A text without the accents and other marks of its letters.
fn unmarked(text: &str) -> String {
    let apart = DecomposingNormalizerBorrowed::new_nfd().normalize(text);
    apart.chars().filter(|c| CanonicalCombiningClass::for_char(*c) == CanonicalCombiningClass::NotReordered).collect()
}

/// A text with the letters of one keyboard or alphabet replaced by those at the same places of another.
fn typed(text: &str, theirs: &str, ours: &str) -> String {
    let place = |c: char| theirs.chars().position(|letter| letter == c);
    text.chars().map(|c| place(c).and_then(|at| ours.chars().nth(at)).unwrap_or(c)).collect()
}

/// The user's names as they may be in a password: each part of them, and all parts together in either order; the longest first.
fn parts<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        let name = name_key(name);
        let parts: Vec<&str> = name.split(BETWEEN).filter(|part| !part.is_empty()).collect();
        let backwards: Vec<&str> = parts.iter().rev().copied().collect();
        all.extend([parts.concat(), backwards.concat()]);
        all.extend(parts.into_iter().map(str::to_owned));
    }
    all.retain(|part| part.chars().count() >= NAME_CHARS_MIN);
    all.sort_by_key(|part| std::cmp::Reverse(part.chars().count()));
    all.dedup();
    all
}

/// Whether a password is names, forwards or backwards, with a few characters more.
fn is_little_more_than(folded: &str, names: &[String]) -> bool {
    let mut rest = folded.replace(BETWEEN, "");
    let all = rest.len();
    for name in names {
        rest = rest.replace(name.as_str(), "");
        rest = rest.replace(&name.chars().rev().collect::<String>(), "");
    }
    rest.len() < all && rest.chars().count() < ADDED_CHARS_MIN
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 5] = ["anna.weiss", "anna.weiss@example.org", "Anna Weiss", "amirabella", "Иван Петров"];

    /// Words that are tried first, with what is usually added to them.
    const COMMON: &str = "password PassWord password1 Password123! p@ssw0rd P@$$w0rd1 12345678 qwertyuiop letmein2024 !!dragon!! \
        ｐａｓｓｗｏｒｄ password12345 Password2024! Password#2024 P@ssw0rd_2024! Password!!! admin12345 Admin@123 admin@2024 \
        letmein12345 12345678! 123456789! Summer2024! Summer!2024 Welcome2025 Liverpool1 iloveyou2024 monkey123456 dragon2000 \
        football99 abc12345 trustno1! michael1985 jennifer90 december2023 Monday12345 hallo12345 passwort1 geheim123 sommer2024! \
        changeme123 secret123! Welcome1! Test1234! guest12345 root1234 starwars77 Hello-123 parlance1 parlance2026! 5201314520 password15031987 hello15031987 super123super correcthorse \
        Willkommen2024! Frühling2024 Sommer25! login123! Admin!2024";
    /// The same in other languages, also as they are typed on another keyboard.
    const ELSEWHERE: &str = "пароль123 пароль12 Пароль2024! привет123 любовь2024 наташа123 gfhjkm123 ghbdtn123 лозинка1 \
        contraseña contraseña1 Contraseña2024! motdepasse1 motdepasse! azerty123 şifre123 hasło1234 jelszó123 heslo2024 senha12345 \
        mậtkhẩu1 κωδικός1 κωδικος12 סיסמה123 كلمةالسر1 密码123456 パスワード123 비밀번호123 사랑해사랑해 woaini1314 पासवर्ड123";
    const REPEATED: &str = "aaaaaaaa AaAaAaAaAa xyzxyzxyz äääääääääää wvutwvut zzzzyyyyxxxx passwordpassword hellohello test1test1 \
        adminadmin letmeinletmein 11111111a 123123123a 正确正确正确正确 абвабвабв абабабаб 하하하하하하하하 !!!!!!!! ...---...--- testtest1";
    /// Letters, digits and keys in order.
    const IN_ORDER: &str = "cdefghijk 98765432109876 hgfedcba abcdef123456 абвгдежз lkjhgfdsa !@#$%^&* )(*&^%$# $%^&*()_ йцукенгш \
        йцукен123 фывапролд ячсмитьб 1йфя2цыч3увс йцукен12 явертъуи уеишщксд љњертзуи ςερτυθιο ασδφγηξκ קראטוןםפ שדגכעיחל ضصثقفغعه \
        شسيبلاتن ابجدهوزح 가나다라마바사아 一二三四五六七八 あいうえおかきくけこ アイウエオカキク αβγδεζηθ אבגדהוזח ٠١٢٣٤٥٦٧ ٨٧٦٥٤٣٢١ \
        1qaz!QAZ 1qaz2wsx !QAZ2wsx q1w2e3r4 qwe123qwe Qwerty123! qwertzui yxcvbnm, azertyui qsdfghjk zaq12wsx asdf1234 asdfjkl; \
        qazwsxedc 1q2w3e4r5t qweasdzxc 1234qwer 147258369 159753456 a1b2c3d4 abcd1234! qwertzuiop1 \
        1q2w3e!Q@W#E !q@w#e$r !\"§$%&/() ㅁㄴㅇㄹㅁㄴㅇㄹ1";
    const DATES: &str = "15031987 15.03.1987 1987-03-15 19870315 3/15/1987 15/03/87 15-3-1987 20240101 01012000 march1987 1987.03.15 \
        15031987! 2024-12-31 31.12.1999 1985.1986";
    const NAMED: &str = "amirabella AmiraBella2024 allebarima99 anna.weiss annaweiss weissanna1 Weiss1985 weiss_anna Weiss-Anna-85 \
        anna-weiss-1 AnnaWeiss2024! weiss2024! Anna1234! anna@example.org example.org1 ssiewanna ssiew.anna1 Weiß1985 @nnaweiss1 \
        4nnaWe1ss иванпетров Петров1985 петров_иван1 вортеп12 annaweiss15031987 weissanna1987 anna15031987";

    #[test]
    fn what_is_tried_first_is_refused() {
        let mut taken = Vec::new();
        for password in
            [COMMON, ELSEWHERE, REPEATED, IN_ORDER, DATES, NAMED].into_iter().flat_map(str::split_whitespace)
        {
            if check(password, NAMES).is_ok() {
                taken.push(password);
            }
        }
        assert!(taken.is_empty(), "{taken:?}");
    }

    #[test]
    fn each_letter_has_its_place() {
        for (theirs, ours) in LAYOUTS {
            assert_eq!(theirs.chars().count(), ours.chars().count(), "{theirs}");
            assert_eq!(theirs.chars().collect::<HashSet<_>>().len(), theirs.chars().count(), "{theirs}");
        }
    }

    #[test]
    fn the_reason_is_told() {
        for (password, why) in [
            ("password", "too common"),
            ("Password2024!", "too common"),
            ("пароль123", "too common"),
            ("contraseña1", "too common"),
            ("xyzxyzxyz", "same few"),
            ("zzzzyyyyxxxx", "same few"),
            ("cdefghijk", "simple sequence"),
            ("!@#$%^&*", "simple sequence"),
            ("йцукенгш", "too common"),
            ("абвгдежз", "simple sequence"),
            ("weiss_anna", "your name"),
            ("allebarima99", "your name"),
            ("15031987!", "easy to guess"),
            ("15.03.1987", "easy to guess"),
        ] {
            let said = check(password, NAMES).unwrap_err();
            assert!(said.detail.contains(why), "{password}: {said}");
        }
    }

    #[test]
    fn what_is_not_is_taken() {
        for password in [
            "correct horse",
            "correct horse battery",
            "wrong horse battery",
            "another horse battery",
            "staple battery horse",
            "battery staple",
            "correct staple",
            "staple, correct",
            "horse-battery-1",
            "a long enough one",
            "another long one",
            "another password",
            "password one",
            "password two",
            "a garden of slow bells 71",
            "Tr0ub4dor&3x",
            "hunter42-and-more",
            "12fh5678",
            "Zx9#kLq2",
            "Xq7!v#2z",
            "k3jd82hs",
            "qF7xLp2m9RtW",
            "x7$Kq!9z@Lm2",
            "{}|:?><~!`+=",
            "abc-xyz-132-kqw",
            "bobbing for apples",
            "annabel lee by the sea",
            "lamp river copper sunday",
            "anna correct horse battery",
            "äpfel und birnen",
            "пароль не из словаря",
            "зелёный чайник поёт",
            "ירוק שולחן מטרייה",
            "مظلة خضراء على الجبل",
            "正确的马电池钉",
            "四つの無関係な言葉",
            "파란 우산과 느린 기차",
            "นกสีฟ้าบนภูเขา",
        ] {
            assert_eq!(check(password, ["bob", "", "a@b.org", "anna"]), Ok(()), "{password}");
        }
    }

    #[test]
    fn the_longest_takes_little_time() {
        let signs = "@{5<627%970|!$+31(8[4".repeat(13);
        let mixed = "74у$уé5й 1y yу!$yй9ён1нг".repeat(9);
        let short: String = mixed.chars().take(FORMS_CHARS_MAX).collect();
        // Signs that may be letters, and letters that each keyboard has elsewhere.
        let elsewhere = "4@({[<691!|7$5+аεקش가".to_owned();
        let _ = check("the lists are read once", NAMES);
        for password in [signs, mixed, short, elsewhere, "aB3$xyz!".repeat(32)] {
            let began = std::time::Instant::now();
            assert_eq!(check(&password, NAMES), Ok(()), "{password}");
            // Tens of milliseconds without optimisations, on a machine that has nothing else to do.
            assert!(began.elapsed().as_secs() < 2, "{password}: {:?}", began.elapsed());
        }
    }
}
