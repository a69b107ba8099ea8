//! Folders become tables that a C compiler accepts, and that hold exactly what the files do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Prints the whole table: lines of metadata, contents in hexadecimal digits, and what is found by
/// path.
const PRINTER: &str = r#"
#include <solo5_embed.h>
#include <stdio.h>
int main(void)
{
    for (size_t i = 0; i < solo5_file_count; i++) {
        const struct solo5_file *file = &solo5_files[i];
        printf("%s|%s|%s|%zu|", file->path, file->type, file->etag, file->size);
        for (size_t j = 0; j < file->size; j++)
            printf("%02x", (unsigned char)file->data[j]);
        printf("|%d\n", solo5_find_file(file->path) == file);
    }
    const char *missing[] = { "", "/", "/a", "/zzz", "/index.htm", "/index.html/" };
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++)
        if (solo5_find_file(missing[i]) != NULL)
            printf("%s is there\n", missing[i]);
    return 0;
}
"#;

/// A folder of this test run, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn embed(folder: &Path, output: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_solo5-embed"))
        .args([folder, output])
        .output()
        .unwrap()
}

/// What a C program sees of the table.
fn compiled(folder: &Path, table: &Path) -> Vec<String> {
    let printer = folder.join("printer.c");
    fs::write(&printer, PRINTER).unwrap();
    let program = folder.join("printer");
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include");
    let compiled = Command::new("gcc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(include)
        .args([printer.as_path(), table])
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{errors}");
    let output = Command::new(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_byte_arrives_with_type_and_tag() {
    let work = folder("every_byte");
    let site = work.join("site");
    let all: Vec<u8> = (0..=255).chain("0\"\\??=9\r\n".bytes()).collect();
    write(&site.join("index.html"), "<p>gr\u{fc}n</p>".as_bytes());
    write(&site.join("latin.txt"), b"gr\xfcn");
    write(&site.join("empty"), b"");
    write(&site.join("a b/all.bin"), &all.repeat(5));
    write(&site.join("app.js"), b"1;");
    write(&site.join("logo.svg"), b"<svg/>");
    write(&site.join(".git/config"), b"secret");
    write(&site.join(".well-known/security.txt"), b"Contact:");
    let table = work.join("files.c");
    let output = embed(&site, &table);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let lines = compiled(&work, &table);
    let expected = [
        (
            "/.well-known/security.txt",
            "text/plain; charset=utf-8",
            &b"Contact:"[..],
        ),
        ("/a b/all.bin", "application/octet-stream", &all.repeat(5)),
        ("/app.js", "text/javascript; charset=utf-8", b"1;"),
        ("/empty", "application/octet-stream", b""),
        (
            "/index.html",
            "text/html; charset=utf-8",
            "<p>gr\u{fc}n</p>".as_bytes(),
        ),
        ("/latin.txt", "text/plain", b"gr\xfcn"),
        ("/logo.svg", "image/svg+xml; charset=utf-8", b"<svg/>"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    for (line, (path, media_type, content)) in lines.iter().zip(expected) {
        let fields: Vec<&str> = line.split('|').collect();
        let [got_path, got_type, etag, size, data, found] = fields[..] else {
            panic!("{line}");
        };
        assert_eq!((got_path, got_type, found), (path, media_type, "1"));
        assert_eq!(size, content.len().to_string());
        assert_eq!(data, hex(content), "{path}");
        assert!(etag.len() == 34 && etag.starts_with('"') && etag.ends_with('"'));
    }
}

#[test]
fn the_same_files_make_the_same_table_and_a_changed_one_another_tag() {
    let work = folder("same_files");
    for site in ["one", "deeper/other"] {
        write(&work.join(site).join("a.txt"), b"one");
        write(&work.join(site).join("b/c.txt"), b"two");
    }
    let table = |site: &str| {
        let output = work.join("table.c");
        assert!(embed(&work.join(site), &output).status.success());
        fs::read_to_string(output).unwrap()
    };
    let first = table("one");
    assert_eq!(first, table("deeper/other"));
    let tag = |text: &str| {
        let line = text.lines().find(|line| line.contains("/a.txt")).unwrap();
        line.to_owned()
    };
    write(&work.join("one/a.txt"), b"two");
    assert_ne!(tag(&first), tag(&table("one")));
}

#[test]
fn what_cannot_be_read_is_named_and_nothing_is_written() {
    let work = folder("unreadable");
    fs::create_dir(work.join("empty")).unwrap();
    write(&work.join("bad/two\nlines"), b"");
    write(&work.join("file"), b"no folder");
    for (site, message) in [
        ("missing", "missing"),
        ("empty", "no files"),
        ("bad", "not a name"),
        ("file", "file: not a folder"),
    ] {
        let table = work.join("table.c");
        let output = embed(&work.join(site), &table);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{site}");
        assert!(
            errors.starts_with("solo5-embed: ") && errors.contains(message),
            "{errors}"
        );
        assert!(!table.exists(), "{site}");
    }
    let usage = Command::new(env!("CARGO_BIN_EXE_solo5-embed"))
        .output()
        .unwrap();
    assert!(!usage.status.success());
    assert!(String::from_utf8_lossy(&usage.stderr).starts_with("usage: solo5-embed FOLDER OUTPUT"));
}
