//! `cortex explain`: the page of an error code.

use std::process::ExitCode;

use schemas::{ErrorCode, Fault};

use super::{Outcome, printer};
use crate::{
    cli::Globals,
    output::{Column, Listing, Row, print},
};

pub(super) fn explain(globals: &Globals, code: Option<&str>) -> Outcome {
    let printer = printer(globals);
    let Some(name) = code else {
        let rows = ErrorCode::ALL.iter().map(|code| {
            let cells = [code.as_str().to_owned(), code.class().exit_code().to_string()];
            Row::new(cells.into_iter().chain([code.hint().to_owned()]).collect())
        });
        let columns = [Column::Usual("CODE"), Column::Usual("EXIT"), Column::Wide("HINT")];
        printer.show(&ErrorCode::ALL, &Listing::new(&columns, rows))?;
        return Ok(ExitCode::SUCCESS);
    };
    let code = ErrorCode::parse(&name.to_ascii_uppercase().replace('-', "_")).ok_or_else(|| {
        let message = format!("there is no error code {name:?}");
        Fault::new(ErrorCode::InvalidValue, message).with_hint("`cortex explain` lists them")
    })?;
    if printer.is_for_machines() {
        let value = serde_json::json!({
            "code": code, "hint": code.hint(), "page": code.page(),
            "exit_code": code.class().exit_code(),
        });
        printer.show(&value, &Listing::of_one(code.as_str(), Vec::new()))?;
    } else {
        print(code.page().as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}
