//! Chromium without a window, by the DevTools protocol: pages that are loaded, forms that are filled in.
//!
//! Messages are JSON with a NUL behind each, on two pipes that are the browser's descriptors 3 and 4
//! (`--remote-debugging-pipe`), so that no port is needed and the browser ends with us.

use std::io::{PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Value, json};

use crate::process::die_with_this_thread;

/// What the browser is started with, beside where it keeps its things. It shall ask nobody for anything.
const OPTIONS: &str = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
    --disable-background-networking --disable-component-update --disable-sync --disable-quic";

/// A browser with one page. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: PipeReader,
    /// What has come of the next message.
    begun: Vec<u8>,
    /// The last message that was sent.
    number: u64,
    /// The page, for messages that are about it.
    session: Option<String>,
    patience: Duration,
}

impl Browser {
    /// Starts `program`, which keeps its things in `profile`, and opens an empty page. Whatever is waited
    /// for may take as long as `patience`.
    ///
    /// # Errors
    ///
    /// When there is no such program, or it does not do what Chromium does.
    pub fn start(program: &str, profile: &Path, patience: Duration) -> Result<Self> {
        let (from, to_us) = std::io::pipe()?;
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(format!(
                "exec {program} {OPTIONS} --remote-debugging-pipe --user-data-dir=\"$0\" 3<&0 4>&1 \
                    </dev/null >/dev/null 2>&1"
            ))
            .arg(profile)
            .stdin(Stdio::piped())
            .stdout(to_us);
        die_with_this_thread(&mut command);
        let mut child = command.spawn().context("cannot start a shell")?;
        drop(command);
        let to = child.stdin.take().context("a pipe")?;
        let mut browser = Self {
            child,
            to,
            from,
            begun: Vec::new(),
            number: 0,
            session: None,
            patience,
        };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach)?;
        let session = attached["sessionId"].as_str().context("no session")?;
        browser.session = Some(session.to_owned());
        Ok(browser)
    }

    /// Loads a page, with all that belongs to it.
    ///
    /// # Errors
    ///
    /// When it cannot be loaded.
    pub fn open(&mut self, url: &str) -> Result<()> {
        let loaded = self.call("Page.navigate", json!({"url": url}))?;
        ensure!(loaded["errorText"].is_null(), "{url}: {loaded}");
        self.wait_for("document.readyState === 'complete'")
    }

    /// The value of an expression in the page.
    ///
    /// # Errors
    ///
    /// When it throws something.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({"expression": expression, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", parameters)?;
        ensure!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        Ok(answer["result"]["value"].take())
    }

    /// Waits until a condition holds in the page.
    ///
    /// # Errors
    ///
    /// When it does not hold in time.
    pub fn wait_for(&mut self, condition: &str) -> Result<()> {
        let deadline = Instant::now() + self.patience;
        while self.evaluate(condition)? != Value::Bool(true) {
            if Instant::now() >= deadline {
                let page = self.evaluate("document.documentElement.outerHTML")?;
                bail!("not {condition} in {:?}: {page}", self.patience);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Chooses files in the first input of the page for them, as a person does in a dialogue.
    ///
    /// # Errors
    ///
    /// When there is no such input.
    pub fn choose(&mut self, files: &[&Path]) -> Result<()> {
        let document = self.call("DOM.getDocument", json!({}))?;
        let wanted = json!({
            "nodeId": document["root"]["nodeId"], "selector": "input[type=file]"
        });
        let input = self.call("DOM.querySelector", wanted)?;
        let chosen = json!({"nodeId": input["nodeId"], "files": files});
        self.call("DOM.setFileInputFiles", chosen).map(drop)
    }

    /// Lets downloads come into a directory, under the names that they say.
    ///
    /// # Errors
    ///
    /// When the browser refuses.
    pub fn download_to(&mut self, directory: &Path) -> Result<()> {
        let page = self.session.take();
        let behavior = json!({"behavior": "allow", "downloadPath": directory});
        let done = self.call("Browser.setDownloadBehavior", behavior);
        self.session = page;
        done.map(drop)
    }

    /// Has the browser do something: its answer. What it tells of meanwhile is left out.
    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.number += 1;
        let mut message = json!({"id": self.number, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message)?;
        bytes.push(0);
        self.to.write_all(&bytes).context(method.to_owned())?;
        let deadline = Instant::now() + self.patience;
        loop {
            let mut answer = self.message(deadline).context(method.to_owned())?;
            if answer["id"] == self.number {
                ensure!(answer["error"].is_null(), "{method}: {answer}");
                return Ok(answer["result"].take());
            }
        }
    }

    /// The next message.
    fn message(&mut self, deadline: Instant) -> Result<Value> {
        loop {
            if let Some(end) = self.begun.iter().position(|byte| *byte == 0) {
                let rest = self.begun.split_off(end + 1);
                self.begun.pop();
                let message = std::mem::replace(&mut self.begun, rest);
                return Ok(serde_json::from_slice(&message)?);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            ensure!(!left.is_zero(), "no answer in {:?}", self.patience);
            let mut wanted = [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)];
            if poll(&mut wanted, PollTimeout::try_from(left)?)? == 0 {
                continue;
            }
            let mut piece = [0; 64 << 10];
            let len = self.from.read(&mut piece)?;
            ensure!(len > 0, "the browser has ended");
            self.begun.extend(piece.iter().take(len));
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
