//! The text of `--help`, from the tables that the line is read by.

use core::fmt::{self, Write};

use super::Program;
use super::network::Offered;
use super::table::Table;

/// Where the explanations start.
const COLUMN: usize = 30;

/// The line that an error ends with, and the help begins with.
pub(super) fn usage(
    out: &mut dyn Write,
    program: &Program<'_>,
    table: &dyn Table,
    offered: Offered,
) -> fmt::Result {
    out.write_str("usage: ")?;
    out.write_str(program.name)?;
    if offered.network {
        out.write_str(" --ipv4=ADDRESS/PREFIX")?;
    }
    out.write_str(" [OPTIONS]")?;
    for index in 0..table.count() {
        let spec = table.spec(index);
        if spec.positional {
            out.write_str(if spec.required { " " } else { " [" })?;
            out.write_str(spec.name)?;
            out.write_str(if spec.times > 1 { "..." } else { "" })?;
            out.write_str(if spec.required { "" } else { "]" })?;
        } else if spec.required {
            out.write_str(" --")?;
            out.write_str(spec.name)?;
            out.write_str("=")?;
            out.write_str(spec.value_name())?;
        }
    }
    out.write_str("\n")
}

pub(super) fn help(
    out: &mut dyn Write,
    program: &Program<'_>,
    table: &dyn Table,
    offered: Offered,
) -> fmt::Result {
    usage(out, program, table, offered)?;
    if !program.summary.is_empty() {
        out.write_str("\n")?;
        out.write_str(program.summary)?;
        out.write_str("\n")?;
    }
    out.write_str("\noptions:\n")?;
    for index in 0..table.count() {
        let spec = table.spec(index);
        let value = if spec.positional {
            ""
        } else {
            spec.value_name()
        };
        let name = if spec.positional { spec.name } else { "" };
        let option = if spec.positional { "" } else { spec.name };
        row(out, (name, option, spec.short), value, spec.help)?;
    }
    let own = offered
        .options()
        .filter(|known| known.value_name.is_empty());
    for known in own {
        row(out, ("", known.name, known.short), "", known.help)?;
    }
    if !offered.network {
        return Ok(());
    }
    out.write_str("\nnetwork:\n")?;
    let others = offered
        .options()
        .filter(|known| !known.value_name.is_empty());
    for known in others {
        row(
            out,
            ("", known.name, known.short),
            known.value_name,
            known.help,
        )?;
    }
    if let [first, others @ ..] = program.devices
        && !others.is_empty()
    {
        out.write_str("\nThe network options are about the device ")?;
        out.write_str(first)?;
        out.write_str(". About others:")?;
        for device in others {
            out.write_str(" --ipv4:")?;
            out.write_str(device)?;
            out.write_str("=...")?;
        }
        out.write_str("\n")?;
    }
    Ok(())
}

/// One option and its explanation, below each other where the option is long.
fn row(
    out: &mut dyn Write,
    (positional, name, short): (&str, &str, Option<char>),
    value: &str,
    help: &str,
) -> fmt::Result {
    let mut width = 2 + positional.len();
    out.write_str("  ")?;
    out.write_str(positional)?;
    if let Some(letter) = short {
        out.write_str("-")?;
        out.write_char(letter)?;
        out.write_str(", ")?;
        width += 4;
    }
    if !name.is_empty() {
        out.write_str("--")?;
        out.write_str(name)?;
        width += 2 + name.len();
    }
    if !value.is_empty() {
        out.write_str("=")?;
        out.write_str(value)?;
        width += 1 + value.len();
    }
    if width + 2 > COLUMN {
        out.write_str("\n")?;
        width = 0;
    }
    while width < COLUMN {
        out.write_str(" ")?;
        width += 1;
    }
    out.write_str(help)?;
    out.write_str("\n")
}
