//! Files that change, vanish and do not fit, and certificates that are made.

use std::{path::PathBuf, process::Command};

use super::*;
use crate::model::Kind;

const NOW: i64 = 1_800_000_000;

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for one name, written over the one before.
    fn write(&self, name: &str) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        self.put("tls.crt", &params.self_signed(&key).unwrap().pem());
        self.put("tls.key", &key.serialize_pem());
    }

    /// As a careful program does it: a new file takes the place of the old one.
    fn put(&self, name: &str, text: &str) {
        fs::write(self.path("new"), text).unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn orders(&self) -> CertificateOrders {
        let path = |name| Arc::from(self.path(name));
        BTreeMap::from([(
            id(),
            CertificateSource::Files { certificate: path("tls.crt"), key: path("tls.key") },
        )])
    }
}

fn id() -> ResourceId {
    ResourceId::new(Kind::Certificate, "default", "web")
}

fn names(known: &BTreeMap<ResourceId, Known>) -> Vec<String> {
    let good = known[&id()].issued.good.as_ref().unwrap();
    good.names.iter().map(ToString::to_string).collect()
}

fn problem(known: &BTreeMap<ResourceId, Known>) -> Option<&str> {
    known[&id()].issued.problem.as_deref()
}

#[test]
fn a_changed_file_is_read_again_and_an_unchanged_one_is_not() {
    let files = Files::new();
    files.write("a.test");
    let first = look(&files.orders(), &BTreeMap::new(), &Kept::default(), NOW);
    assert_eq!(names(&first), ["a.test"]);
    let again = look(&files.orders(), &first, &Kept::default(), NOW);
    assert_eq!(again, first);
    files.write("b.test");
    assert_eq!(names(&look(&files.orders(), &again, &Kept::default(), NOW)), ["b.test"]);
}

/// As `cp --preserve` and `chmod` leave it: neither size nor time of the content tells.
#[test]
fn a_file_of_the_same_size_and_time_is_read_again_too() {
    let files = Files::new();
    files.write("a.test");
    let garbled = fs::read_to_string(files.path("tls.crt")).unwrap().replace("MII", "!!!");
    let known = look(&files.orders(), &BTreeMap::new(), &Kept::default(), NOW);
    let file = fs::File::options().write(true).open(files.path("tls.crt")).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    fs::write(files.path("tls.crt"), garbled).unwrap();
    file.set_modified(time).unwrap();
    let known = look(&files.orders(), &known, &Kept::default(), NOW);
    assert!(problem(&known).unwrap().contains("it is not valid PEM"), "{:?}", problem(&known));
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let files = Files::new();
    files.write("a.test");
    fs::remove_file(files.path("tls.key")).unwrap();
    assert!(Command::new("mkfifo").arg(files.path("tls.key")).status().unwrap().success());
    let known = look(&files.orders(), &BTreeMap::new(), &Kept::default(), NOW);
    let why = format!("`{}` is no file: name one with PEM in it", files.path("tls.key").display());
    assert_eq!(problem(&known), Some(&*why));
}

#[test]
fn what_cannot_be_used_any_more_keeps_the_last_good_one() {
    let files = Files::new();
    files.write("a.test");
    let mut known = look(&files.orders(), &BTreeMap::new(), &Kept::default(), NOW);
    fs::remove_file(files.path("tls.key")).unwrap();
    known = look(&files.orders(), &known, &Kept::default(), NOW);
    assert_eq!(names(&known), ["a.test"]);
    let missing = format!("`{}` cannot be read: No such file", files.path("tls.key").display());
    assert!(problem(&known).unwrap().starts_with(&missing), "{:?}", problem(&known));
    files.put("tls.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    known = look(&files.orders(), &known, &Kept::default(), NOW);
    assert_eq!(names(&known), ["a.test"]);
    assert!(problem(&known).unwrap().contains("does not belong to the certificate"));
    files.write("b.test");
    known = look(&files.orders(), &known, &Kept::default(), NOW);
    assert_eq!((names(&known), problem(&known)), (vec!["b.test".to_owned()], None));
}

#[test]
fn a_file_that_never_was_good_has_a_reason_and_nothing_else() {
    let files = Files::new();
    let known = look(&files.orders(), &BTreeMap::new(), &Kept::default(), NOW);
    assert_eq!(known[&id()].issued.good, None);
    assert!(problem(&known).unwrap().contains("tls.crt"));
}

#[test]
fn a_certificate_that_is_made_has_its_names_and_is_renewed_before_it_ends() {
    let day = 86_400;
    let source = CertificateSource::SelfSigned {
        names: vec![HostPattern::parse("a.test").unwrap(), HostPattern::parse("*.a.test").unwrap()],
        valid_for: Duration::from_secs(90 * day),
    };
    let orders = BTreeMap::from([(id(), source)]);
    let first = look(&orders, &BTreeMap::new(), &Kept::default(), NOW);
    assert_eq!(names(&first), ["a.test", "*.a.test"]);
    let good = first[&id()].issued.good.clone().unwrap();
    assert_eq!((good.not_before, good.not_after), (NOW - 3600, NOW + 90 * 86_400));
    assert_eq!(look(&orders, &first, &Kept::default(), NOW + 50 * 86_400), first);
    let later = look(&orders, &first, &Kept::default(), NOW + 70 * 86_400);
    assert_eq!(later[&id()].issued.good.as_ref().unwrap().not_after, NOW + 160 * 86_400);
}

#[test]
fn a_certificate_that_was_made_is_found_again_until_it_is_wanted_otherwise() {
    use std::os::unix::fs::PermissionsExt as _;
    let state = tempfile::tempdir().unwrap();
    let kept = Kept { folder: Some(state.path().join("certificates")) };
    let file = state.path().join("certificates/default.web.pem");
    let orders = |names: &[&str], days: u64| {
        let names = names.iter().map(|name| HostPattern::parse(name).unwrap()).collect();
        let valid_for = Duration::from_hours(24 * days);
        BTreeMap::from([(id(), CertificateSource::SelfSigned { names, valid_for })])
    };
    // As a process does that has just started.
    let fresh = |orders: &CertificateOrders, now| look(orders, &BTreeMap::new(), &kept, now);
    let both = orders(&["b.test", "a.test"], 90);
    let first = fresh(&both, NOW);
    assert_eq!(fresh(&both, NOW + 5), first);
    assert_eq!(fresh(&orders(&["a.test", "b.test"], 90), NOW)[&id()].issued, first[&id()].issued);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let later = fresh(&both, NOW + 70 * 86_400);
    assert_ne!(later, first, "it was due");
    assert_eq!(fresh(&both, NOW + 70 * 86_400), later);
    for others in
        [orders(&["a.test"], 90), orders(&["a.test", "b.test", "c.test"], 90), orders(&["a.test"], 30)]
    {
        let other = fresh(&others, NOW);
        assert_ne!(other[&id()].issued, later[&id()].issued);
        assert_eq!(fresh(&others, NOW), other);
    }
    fs::write(&file, "-----BEGIN").unwrap();
    let anew = fresh(&both, NOW);
    assert_eq!(fresh(&both, NOW), anew, "what is broken is made anew");
    look(&BTreeMap::new(), &anew, &kept, NOW);
    assert!(!file.exists(), "the key of one that nobody asks for is gone");
}

#[test]
fn a_folder_that_cannot_be_written_costs_nothing_but_the_memory() {
    let state = tempfile::NamedTempFile::new().unwrap();
    let kept = Kept { folder: Some(state.path().join("certificates")) };
    let names = vec![HostPattern::parse("a.test").unwrap()];
    let source = CertificateSource::SelfSigned { names: names.clone(), valid_for: Duration::from_hours(48) };
    let known = look(&BTreeMap::from([(id(), source)]), &BTreeMap::new(), &kept, NOW);
    assert_eq!((self::names(&known), problem(&known)), (vec!["a.test".to_owned()], None));
    let odd = ResourceId::new(Kind::Certificate, "..", "../a");
    assert_eq!(kept.load(&odd, &names, Duration::from_hours(48)), None);
}

#[tokio::test]
async fn the_stream_tells_what_is_new_until_its_orders_end() {
    use futures::StreamExt as _;
    let files = Files::new();
    files.write("a.test");
    let (orders, wanted) = watch::channel(CertificateOrders::new());
    let mut told = Box::pin(watch(wanted, None));
    orders.send_replace(files.orders());
    let (of, issued) = told.next().await.unwrap();
    assert_eq!((of, issued.problem), (id(), None));
    files.write("b.test");
    let (_, issued) = told.next().await.unwrap();
    assert!(issued.good.is_some());
    drop(orders);
    while told.next().await.is_some() {}
}
