//! Which files are read, and what is said of those that are not.

use std::os::unix::fs::symlink;

use super::*;

fn names(scan: &Scan, root: &Path) -> Vec<String> {
    let name = |path: &PathBuf| path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    scan.files.keys().map(name).collect()
}

#[test]
fn hidden_files_and_editors_temporaries_are_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    for name in [
        "b.yaml",
        "a.yml",
        "c.json",
        "d.yaml~",
        ".e.yaml",
        "#f.yaml#",
        ".#g.yaml",
        "4913",
        ".h.yaml.swp",
        "i.txt",
        "k.yaml.tmp",
    ] {
        fs::write(root.join(name), name).unwrap();
    }
    for name in [".git", "sub", "..2026"] {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("x.yaml"), name).unwrap();
    }
    let scan = scan(&[root.to_path_buf()]);
    assert_eq!(names(&scan, root), ["a.yml", "b.yaml", "c.json", "sub/x.yaml"]);
    assert_eq!(scan.troubles, BTreeMap::new());
}

#[test]
fn a_given_file_is_read_whatever_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join(".routes");
    fs::write(&file, "x").unwrap();
    assert_eq!(scan(std::slice::from_ref(&file)).files.keys().collect::<Vec<_>>(), [&file]);
}

#[test]
fn a_file_given_twice_is_read_once() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::write(root.join("a.yaml"), "x").unwrap();
    let given = [root.join("."), root.to_path_buf(), root.join("a.yaml"), root.join("../").join(root)];
    assert_eq!(scan(&given).files.len(), 1);
}

#[test]
fn links_are_followed_and_loops_end() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("..v1")).unwrap();
    fs::write(root.join("..v1/a.yaml"), "1").unwrap();
    symlink("..v1", root.join("..data")).unwrap();
    symlink("..data/a.yaml", root.join("a.yaml")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    symlink("nowhere", root.join("b.yaml")).unwrap();
    symlink("self.yaml", root.join("self.yaml")).unwrap();
    let scan = scan(&[root.to_path_buf()]);
    assert_eq!(names(&scan, root), ["a.yaml"]);
    let troubles: Vec<_> = scan
        .troubles
        .iter()
        .map(|(path, why)| format!("{} {why}", path.file_name().unwrap().display()))
        .collect();
    assert_eq!(troubles[0], "b.yaml points to nothing");
    assert!(troubles[1].starts_with("self.yaml cannot be read"), "{troubles:?}");
}

#[test]
fn what_cannot_be_looked_at_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let gone = directory.path().join("gone");
    let scan = scan(&[gone.clone(), PathBuf::from("/dev/null")]);
    assert_eq!(scan.troubles[&gone], "does not exist");
    assert_eq!(scan.troubles[Path::new("/dev/null")], "is neither a file nor a directory");
}

#[test]
fn a_huge_file_is_refused_by_its_bound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.yaml");
    Handle::create(&path).unwrap().set_len(u64::try_from(MAX_BYTES).unwrap() + 1).unwrap();
    let scan = scan(std::slice::from_ref(&path));
    assert_eq!(scan.troubles[&path], format!("has more than {MAX_BYTES} bytes: not read"));
}

#[test]
fn a_file_that_is_being_written_keeps_what_was_read() {
    let directory = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(directory.path()).unwrap();
    fs::write(root.join("a.yaml"), "whole").unwrap();
    let before = scan(std::slice::from_ref(&root));
    fs::write(root.join("a.yaml"), "").unwrap();
    let busy = BTreeSet::from([root.join("a.yaml")]);
    let known = |busy| Known { scan: &before, busy, trust: Trust::Nothing };
    assert_eq!(rescan(std::slice::from_ref(&root), known(&busy)), before);
    assert_ne!(rescan(std::slice::from_ref(&root), known(&BTreeSet::new())), before);
}

#[test]
fn time_stamps_are_believed_only_where_they_are_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.yaml");
    fs::write(&path, "true").unwrap();
    let (roots, busy) = ([directory.path().to_path_buf()], BTreeSet::new());
    let mut before = scan(&roots);
    // What a file system would show that changes a file and not its time stamps.
    let stamp = Stamp::new(&fs::metadata(&path).unwrap());
    before.files.insert(path.clone(), File { content: b"once".as_slice().into(), stamp: Some(stamp) });
    let hurry = AtomicBool::new(true);
    for (trust, wanted) in [(Trust::Stamps, "once"), (Trust::Nothing, "true")] {
        let read = |scan: Scan| scan.files[&path].content.to_vec();
        let known = Known { scan: &before, busy: &busy, trust };
        assert_eq!(read(rescan(&roots, known)), wanted.as_bytes());
        assert_eq!(read(scan_gently(&roots, (&before, trust), &hurry)), wanted.as_bytes());
    }
}
