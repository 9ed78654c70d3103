use std::{
    os::unix::fs::symlink,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::*;

/// Files as the kubelet mounts a ConfigMap: each a link through `..data`, which is replaced as a whole.
struct Mount {
    root: TempDir,
    swaps: usize,
}

impl Mount {
    fn new(files: &[(&str, &str)]) -> Self {
        let mut mount = Self {
            root: TempDir::new().unwrap(),
            swaps: 0,
        };
        fs::create_dir(mount.directory()).unwrap();
        mount.swap(files);
        mount
    }

    fn directory(&self) -> PathBuf {
        self.root.path().join("blocked")
    }

    fn swap(&mut self, files: &[(&str, &str)]) {
        self.swaps += 1;
        let target = format!("..2026_{}", self.swaps);
        let directory = self.directory();
        fs::create_dir(directory.join(&target)).unwrap();
        for (name, text) in files {
            fs::write(directory.join(&target).join(name), text).unwrap();
            let link = directory.join(name);
            if fs::symlink_metadata(&link).is_err() {
                symlink(format!("..data/{name}"), link).unwrap();
            }
        }
        symlink(&target, directory.join("..data_tmp")).unwrap();
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    }

    fn open(&self) -> Result<Lists, ListError> {
        Lists::open(&BTreeMap::new(), self.root.path())
    }
}

fn ids(lists: &Lists, candidates: impl IntoIterator<Item = i64>) -> Vec<i64> {
    let list = lists.get("blocked").unwrap();
    candidates.into_iter().filter(|id| list.contains(*id)).collect()
}

#[test]
fn every_file_of_a_list_is_read_line_by_line() {
    let mount = Mount::new(&[
        ("a.txt", "# seven customers\n323\n\n 1693 # since May\r\n-4\n"),
        ("b", "9007199254740993"),
    ]);
    fs::write(mount.directory().join(".hidden"), "no number").unwrap();
    fs::create_dir(mount.directory().join("folder")).unwrap();
    let lists = mount.open().unwrap();
    let all = [323, 1693, -4, 9_007_199_254_740_993];
    assert_eq!(
        ids(&lists, all.into_iter().chain([0, 9_007_199_254_740_992])),
        all
    );
    assert_eq!(lists.names().collect::<Vec<_>>(), ["blocked"]);
}

#[test]
fn a_swapped_config_map_takes_the_place_of_the_old_one() {
    let mut mount = Mount::new(&[("ids", "1\n2\n")]);
    let lists = mount.open().unwrap();
    mount.swap(&[("ids", "2\n3\n")]);
    assert_eq!(ids(&lists, 1..4), [1, 2]);
    lists.refresh();
    assert_eq!(ids(&lists, 1..4), [2, 3]);
    lists.refresh();
    let mut page = String::new();
    lists.render(&mut page, "version=\"1\"");
    for line in [
        "fraudops_scorer_list_entries{version=\"1\",list=\"blocked\"} 2",
        "fraudops_scorer_list_reads_total{version=\"1\",list=\"blocked\",result=\"ok\"} 2",
        "fraudops_scorer_list_reads_total{version=\"1\",list=\"blocked\",result=\"failed\"} 0",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is missing in\n{page}");
    }
}

#[test]
fn what_cannot_be_read_keeps_the_old_entries_and_is_told() {
    let mut mount = Mount::new(&[("ids", "1\n")]);
    let lists = mount.open().unwrap();
    mount.swap(&[("ids", "2\n4111111111111111x\n")]);
    lists.refresh();
    lists.refresh();
    assert_eq!(ids(&lists, 1..4), [1]);
    let problem = lists.problem().unwrap();
    assert!(
        problem.contains("list blocked") && problem.contains("file ids, line 2"),
        "{problem}"
    );
    assert!(!problem.contains("4111"), "an entry is never repeated: {problem}");
    let mut page = String::new();
    lists.render(&mut page, "");
    let failed = "fraudops_scorer_list_reads_total{list=\"blocked\",result=\"failed\"} 1";
    assert!(
        page.lines().any(|l| l == failed),
        "the same files are told once\n{page}"
    );
    mount.swap(&[("ids", "3\n")]);
    lists.refresh();
    assert_eq!((ids(&lists, 1..4), lists.problem()), (vec![3], None));
}

#[test]
fn files_that_vanish_keep_the_old_entries() {
    let mount = Mount::new(&[("ids", "1\n")]);
    let lists = mount.open().unwrap();
    let (directory, away) = (mount.directory(), mount.root.path().join("away"));
    fs::rename(&directory, &away).unwrap();
    lists.refresh();
    lists.refresh();
    assert_eq!(ids(&lists, 1..4), [1]);
    assert!(lists.problem().unwrap().contains("cannot be read"));
    fs::rename(away, directory).unwrap();
    lists.refresh();
    assert_eq!((ids(&lists, 1..4), lists.problem()), (vec![1], None));
}

#[test]
fn too_much_is_refused() {
    let mut many: String = (0..MAX_ENTRIES).map(|id| format!("{id}\n")).collect();
    let mut mount = Mount::new(&[("ids", &many)]);
    let lists = mount.open().unwrap();
    assert_eq!(lists.get("blocked").unwrap().ids.load().len(), MAX_ENTRIES);
    many += "1000000\n";
    mount.swap(&[("ids", &many)]);
    lists.refresh();
    assert!(lists.problem().unwrap().contains("more than 1000000 entries"));
    mount.swap(&[("ids", &"\n".repeat((32 << 20) + 1))]);
    lists.refresh();
    assert!(lists.problem().unwrap().contains("33554433 bytes"));
    assert_eq!(ids(&lists, [999_999, 1_000_000]), [999_999]);
}

#[test]
fn at_start_a_list_must_be_whole() {
    let mount = Mount::new(&[("ids", "one\n")]);
    let error = mount.open().unwrap_err().to_string();
    assert!(error.starts_with("list blocked: file ids, line 1"), "{error}");
    let nowhere = Lists::open(&BTreeMap::new(), Path::new("/nowhere/at/all")).unwrap();
    assert_eq!(nowhere.names().count(), 0);
    let mount = Mount::new(&[("ids", "1\n")]);
    let inline = BTreeMap::from([("blocked".to_owned(), ListConfig::default())]);
    let error = Lists::open(&inline, mount.root.path()).unwrap_err().to_string();
    assert!(error.contains("values and files"), "{error}");
    for name in ["a-b", "in"] {
        let inline = BTreeMap::from([(name.to_owned(), ListConfig::default())]);
        assert!(
            Lists::open(&inline, Path::new("/nowhere"))
                .unwrap_err()
                .to_string()
                .contains(name)
        );
    }
    let many = (0..17)
        .map(|i| (format!("l{i}"), ListConfig::default()))
        .collect();
    assert!(Lists::open(&many, Path::new("/nowhere")).is_err());
}

#[test]
fn a_watch_reloads_by_itself_while_others_read() {
    let mut mount = Mount::new(&[("ids", "1\n2\n")]);
    let lists = Arc::new(mount.open().unwrap());
    let watch = Watch::start(Arc::clone(&lists), Duration::from_millis(20)).unwrap();
    let list = lists.get("blocked").unwrap();
    mount.swap(&[("ids", "1\n3\n")]);
    let deadline = Instant::now() + Duration::from_secs(10);
    while !list.contains(3) {
        assert!(list.contains(1), "what both lists have is always there");
        assert!(Instant::now() < deadline, "the list was not reloaded");
        std::thread::yield_now();
    }
    assert!(!list.contains(2));
    drop(watch);
    mount.swap(&[("ids", "4\n")]);
    std::thread::sleep(Duration::from_millis(100));
    assert!(!list.contains(4), "a watch that is dropped looks no more");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let mut ids = Ids::default();
        let _ = read::add(&mut ids, &text);
    }

    #[test]
    fn what_is_written_is_read(numbers in proptest::collection::hash_set(proptest::prelude::any::<i64>(), 0..50)) {
        let text: String = numbers.iter().map(|n| format!("{n}\n")).collect();
        let mut ids = Ids::default();
        read::add(&mut ids, text.as_bytes()).unwrap();
        proptest::prop_assert_eq!(ids.into_iter().collect::<std::collections::HashSet<_>>(), numbers);
    }
}
