use std::{
    os::unix::fs::{PermissionsExt, symlink},
    thread,
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::model::artifact::target::hex;

struct Node {
    directory: TempDir,
    cache: Cache,
}

impl Node {
    fn new(limit: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(&directory.path().join("cache"), limit);
        Self { directory, cache }
    }

    /// Adds a file as a pod does that has fetched it; answers its digest.
    fn add(&self, content: &[u8]) -> String {
        let sha256 = digest(content);
        let fetched = self.directory.path().join("fetched");
        fs::write(&fetched, content).unwrap();
        self.cache.add(&sha256, &fetched);
        sha256
    }

    fn copy(&self, sha256: &str) -> Option<Vec<u8>> {
        let to = self.directory.path().join("model");
        let mut partial = Partial::new(Target::create(&to, 1000).unwrap());
        self.cache.copy(sha256, &mut partial).unwrap().then(|| {
            partial.target.finish(sha256).unwrap();
            fs::read(&to).unwrap()
        })
    }

    fn age(&self, sha256: &str, seconds: u64) {
        let used = SystemTime::now() - Duration::from_secs(seconds);
        File::open(self.cache.path(sha256))
            .unwrap()
            .set_modified(used)
            .unwrap();
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .cache
            .files()
            .unwrap()
            .iter()
            .map(|f| name_of(&f.path))
            .collect();
        names.sort();
        names
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

fn digest(content: &[u8]) -> String {
    hex(Sha256::new_with_prefix(content))
}

#[test]
fn what_was_added_is_found_by_its_digest_and_read_only() {
    let node = Node::new(100);
    let sha256 = node.add(b"model");
    assert_eq!(node.copy(&sha256).unwrap(), b"model");
    assert_eq!(node.copy(&digest(b"other")), None);
    let path = node.cache.path(&sha256);
    assert!(path.ends_with(format!("cache/sha256/{}/{sha256}", &sha256[..2])));
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o444);
}

#[test]
fn a_forged_or_damaged_file_is_dropped_and_never_handed_out() {
    let node = Node::new(100);
    let sha256 = node.add(b"model");
    let path = node.cache.path(&sha256);
    for poison in [&b"evil!"[..], b"", b"mode"] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, poison).unwrap();
        assert_eq!(node.copy(&sha256), None);
        assert!(!path.exists());
        node.add(b"model");
        assert_eq!(node.copy(&sha256).unwrap(), b"model");
    }
}

#[test]
fn a_link_or_a_folder_in_place_of_a_file_is_not_followed() {
    let node = Node::new(100);
    let sha256 = node.add(b"model");
    let path = node.cache.path(&sha256);
    fs::remove_file(&path).unwrap();
    symlink("/dev/zero", &path).unwrap();
    assert_eq!(node.copy(&sha256), None);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(node.copy(&sha256), None);
}

#[test]
fn the_files_that_were_not_used_for_longest_give_way() {
    let node = Node::new(12);
    let (a, b) = (node.add(b"aaaaa"), node.add(b"bbbbb"));
    node.age(&a, 300);
    node.age(&b, 200);
    node.copy(&a).unwrap(); // now the younger one
    let c = node.add(b"ccccc");
    let mut left = [a, c];
    left.sort();
    assert_eq!(node.names(), left);
}

#[test]
fn a_file_larger_than_the_cache_is_not_kept_and_drives_nobody_out() {
    let node = Node::new(5);
    let small = node.add(b"aaaaa");
    let large = node.add(b"bbbbbb");
    assert_eq!(node.names(), [small]);
    assert_eq!(node.copy(&large), None);
}

#[test]
fn abandoned_files_go_and_those_of_others_at_work_stay() {
    let node = Node::new(100);
    let sha256 = node.add(b"aaaaa");
    let folder = node.cache.path(&sha256).parent().unwrap().to_owned();
    for (name, seconds) in [(".fetch-old", 7200), (".fetch-new", 60)] {
        fs::write(folder.join(name), b"x").unwrap();
        let used = SystemTime::now() - Duration::from_secs(seconds);
        File::open(folder.join(name)).unwrap().set_modified(used).unwrap();
    }
    let other = node.add(b"bbbbb");
    let mut left = vec![".fetch-new".to_owned(), sha256, other];
    left.sort();
    assert_eq!(node.names(), left);
}

#[test]
fn many_pods_at_once_get_right_bytes_only() {
    let node = Node::new(40); // room for four of eight files, so that everybody evicts
    let contents: Vec<_> = (0..8_u8).map(|i| vec![i; 10]).collect();
    thread::scope(|scope| {
        for pod in 0..4_usize {
            let (cache, contents, root) = (&node.cache, &contents, node.directory.path());
            scope.spawn(move || {
                let (to, fetched) = (
                    root.join(format!("to-{pod}")),
                    root.join(format!("fetched-{pod}")),
                );
                for round in 0..200_usize {
                    let content = &contents[(round * 3 + pod) % contents.len()];
                    let sha256 = digest(content);
                    let mut partial = Partial::new(Target::create(&to, 1000).unwrap());
                    if cache.copy(&sha256, &mut partial).unwrap() {
                        partial.target.finish(&sha256).unwrap();
                        assert_eq!(&fs::read(&to).unwrap(), content);
                    } else {
                        fs::write(&fetched, content).unwrap();
                        cache.add(&sha256, &fetched);
                    }
                }
            });
        }
    });
    let total: u64 = node.cache.files().unwrap().iter().map(|f| f.size).sum();
    assert!(total <= 40 + 3 * 10, "each pod may be one file late: {total}");
    assert!(node.names().iter().all(|name| !name.starts_with('.')));
}

#[test]
fn a_cache_that_cannot_be_used_is_passed_by() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, b"model").unwrap();
    let cache = Cache::new(&file, 100); // a file where a folder should be
    let sha256 = digest(b"model");
    cache.add(&sha256, &file);
    let to = directory.path().join("to");
    let mut partial = Partial::new(Target::create(&to, 1000).unwrap());
    assert!(!cache.copy(&sha256, &mut partial).unwrap());
}
