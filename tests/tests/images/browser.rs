//! The web examples with a browser: Chromium, without a window.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use mnet_tests::browser::Browser;

use crate::fixture::Fixture;
use crate::ipv6::{ip, within};
use crate::{Skipped, Test, needs, upload, web};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_page_is_shown_with_all_its_files", page),
    ("files_go_up_and_an_archive_comes_down", files),
];

/// How long a browser may take for one thing, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
const CHROMIUM: &str = "chromium";

fn start(profile: &tempfile::TempDir) -> Result<Browser> {
    if needs(CHROMIUM).is_err() {
        bail!(Skipped(
            "chromium is not installed, and is 300 MB (apt-get install chromium)"
        ));
    }
    // It talks to itself.
    ip("link set lo up")?;
    Browser::start(CHROMIUM, profile.path(), PATIENCE)
}

fn page(fixture: &Fixture) -> Result<()> {
    let profile = tempfile::tempdir()?;
    let mut browser = start(&profile)?;
    let _site = web::start(fixture)?;
    browser.open("http://10.0.0.2/")?;
    ensure!(browser.evaluate("document.title")? == "A unikernel");
    // The script has run, and it counts what else was loaded for the page: at least style and itself.
    browser.wait_for("Number(document.body.dataset.files) >= 2")
}

/// The form of the example `upload`, filled in and sent by the page's own script.
fn files(fixture: &Fixture) -> Result<()> {
    let profile = tempfile::tempdir()?;
    let mut browser = start(&profile)?;
    let server = upload::start(fixture, "browser", &[])?;
    let (noise, text) = (
        server.directory.join("noise.bin"),
        server.directory.join("text.txt"),
    );
    upload::noise(&noise, 8 << 20, 5)?;
    fs::write(&text, "many times\n".repeat(100_000))?;
    browser.download_to(&server.directory)?;
    browser.open("http://10.0.0.2/")?;
    browser.choose(&[&noise, &text])?;
    browser.evaluate("document.querySelector('button').click()")?;
    browser.wait_for("document.querySelector('output').textContent.includes('2 files')")?;
    // The archive is written under another name first.
    let archive = server.directory.join("files.zip");
    within(PATIENCE, "the archive", || {
        ensure!(archive.exists(), "it has not come");
        Ok(())
    })?;
    server.bash(
        "unzip -tq files.zip
        unzip -p files.zip noise.bin | cmp - noise.bin
        unzip -p files.zip text.txt | cmp - text.txt",
    )?;
    Ok(())
}
