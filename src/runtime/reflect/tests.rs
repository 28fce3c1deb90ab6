//! What readers see of lists and news.

use futures::FutureExt as _;

use super::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Ship(&'static str, u8);

impl Keyed for Ship {
    type Id = &'static str;

    fn key(&self) -> &&'static str {
        &self.0
    }
}

fn listed(ships: &[Ship]) -> (Writer<Ship>, Store<Ship>) {
    let (mut writer, reader) = store();
    writer.apply(Event::Init);
    for ship in ships {
        writer.apply(Event::InitApply(ship.clone()));
    }
    writer.apply(Event::InitDone);
    (writer, reader)
}

fn names(reader: &mut Store<Ship>) -> Vec<&'static str> {
    reader.snapshot().into_keys().collect()
}

#[test]
fn half_a_list_is_never_seen() {
    let (mut writer, mut reader) = listed(&[Ship("a", 1)]);
    writer.apply(Event::Init);
    assert_eq!(writer.apply(Event::InitApply(Ship("b", 1))), Applied::Buffered);
    assert_eq!(names(&mut reader), ["a"]);
    assert_eq!(writer.apply(Event::InitDone), Applied::Swapped { first: false, drift: 2 });
    assert_eq!(names(&mut reader), ["b"]);
}

#[test]
fn the_first_list_makes_it_ready_even_when_empty() {
    let (mut writer, reader) = store::<Ship>();
    assert_eq!(writer.apply(Event::Apply(Ship("a", 1))), Applied::Changed);
    assert!(!reader.is_ready() && reader.ready().now_or_never().is_none());
    writer.apply(Event::Delete("a"));
    assert_eq!(writer.apply(Event::InitDone), Applied::Swapped { first: true, drift: 0 });
    assert!(reader.is_ready() && reader.ready().now_or_never().is_some());
}

#[test]
fn equal_news_wakes_nobody() {
    let (mut writer, mut reader) = listed(&[Ship("a", 1)]);
    reader.snapshot();
    assert_eq!(writer.apply(Event::Apply(Ship("a", 1))), Applied::Unchanged);
    assert_eq!(writer.apply(Event::Delete("x")), Applied::Unchanged);
    assert!(reader.changed().now_or_never().is_none());
    assert_eq!(writer.apply(Event::Apply(Ship("a", 2))), Applied::Changed);
    assert!(reader.changed().now_or_never().is_some());
}

#[test]
fn an_equal_list_is_no_drift_and_wakes_nobody() {
    let (mut writer, mut reader) = listed(&[Ship("a", 1)]);
    reader.snapshot();
    writer.apply(Event::Init);
    writer.apply(Event::InitApply(Ship("a", 1)));
    assert_eq!(writer.apply(Event::InitDone), Applied::Swapped { first: false, drift: 0 });
    assert!(reader.changed().now_or_never().is_none());
}

#[test]
fn news_during_a_list_counts_at_once_and_survives_the_swap() {
    let (mut writer, mut reader) = listed(&[Ship("a", 1)]);
    writer.apply(Event::Init);
    writer.apply(Event::InitApply(Ship("a", 1)));
    writer.apply(Event::Apply(Ship("b", 1)));
    writer.apply(Event::Delete("a"));
    assert_eq!(names(&mut reader), ["b"]);
    writer.apply(Event::InitDone);
    assert_eq!(names(&mut reader), ["b"]);
}

#[test]
fn a_list_that_begins_again_forgets_its_first_half() {
    let (mut writer, mut reader) = listed(&[]);
    writer.apply(Event::Init);
    writer.apply(Event::InitApply(Ship("a", 1)));
    writer.apply(Event::Init);
    writer.apply(Event::InitApply(Ship("b", 1)));
    writer.apply(Event::InitDone);
    assert_eq!(names(&mut reader), ["b"]);
}

#[test]
fn the_contents_outlive_the_writer() {
    let (writer, mut reader) = listed(&[Ship("a", 1)]);
    drop(writer);
    reader.snapshot();
    assert!(reader.changed().now_or_never().is_none());
    assert_eq!(reader.find(&"a"), Some(Arc::new(Ship("a", 1))));
}
