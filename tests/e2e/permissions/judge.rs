//! Whether an answer is what the table's mark says.

use parlance::api::route::Route;
use serde_json::Value;

use super::grid;
use super::rows::Case;
use super::scene::Scene;

/// Whether an answer shows what was asked for; what a resume says is gone isn't shown.
fn is_shown(answer: &Value, (list, field, value): (&str, &str, &str), scene: &Scene) -> bool {
    let items = answer[list].as_array().unwrap_or_else(|| panic!("no {list} in {answer}"));
    items.iter().any(|item| item[field] == scene[value] && item["outcome"] != "gone")
}

fn judge_shown(mark: char, case: &Case, scene: &Scene, answer: &Value) -> Result<(), String> {
    let wrong = matches!(mark, 's' | 'h') && is_shown(answer, case.shown, scene) != (mark == 's');
    if wrong { Err(format!("expected {mark}, got {answer}")) } else { Ok(()) }
}

/// Compares what REST answered with a mark.
pub fn judge_rest(
    route: &Route,
    case: &Case,
    mark: char,
    scene: &Scene,
    (status, body): &(u16, Value),
) -> Result<(), String> {
    let Some(code) = grid::code(mark) else {
        let good = route.answers.iter().any(|answer| answer.status == *status && *status < 300);
        return if good {
            judge_shown(mark, case, scene, body)
        } else {
            Err(format!("expected {mark}, got {status} {body}"))
        };
    };
    // What is so already is a success to PUT and DELETE.
    if mark == '=' && route.settled && *status == 204 {
        return Ok(());
    }
    // Dialects have no codes.
    let detailed = body["detail"].is_string() || (*status == 422 && body["detail"].is_array());
    let says = body.get("code").map_or(detailed, |said| said == code.word());
    if *status == code.http() && says { Ok(()) } else { Err(format!("expected {}, got {status} {body}", code.word())) }
}

/// Compares what a socket answered with a mark.
pub fn judge_socket(case: &Case, mark: char, scene: &Scene, outcome: &Result<Value, Value>) -> Result<(), String> {
    match (grid::code(mark), outcome) {
        (None, Ok(answer)) => judge_shown(mark, case, scene, answer),
        (Some(code), Err(fault)) if fault["code"] == code.word() => Ok(()),
        _ => Err(format!("expected {mark}, got {outcome:?}")),
    }
}
