//! Files and directories as their writer sees them. What a crash or a power loss leaves of them is shown
//! in `simulation`.

use crate::arms::Place;
use rt::disk;
use std::io::{ErrorKind, Result};
use std::path::Path;

both_arms! {
    a_new_file_is_empty,
    what_is_written_is_read,
    a_gap_reads_as_zeros,
    a_read_past_the_end_fails,
    a_file_is_cut_and_grown,
    a_file_keeps_its_content_when_closed,
    a_missing_file_is_not_opened,
    a_missing_folder_holds_nothing,
    a_rename_replaces,
    a_removed_file_is_gone,
    an_open_file_survives_its_name,
    two_handles_share_a_file,
    a_list_is_sorted,
    folders_are_made_with_their_parents,
    syncs_succeed,
    a_free_lock_is_taken,
    a_taken_lock_keeps_others_out,
    a_durable_folder_is_there,
}

/// Runs blocking `work` on the folder of a place.
async fn at(place: &Place, work: fn(&Path) -> Result<()>) {
    let folder = place.folder.clone();
    rt::task::blocking(move || work(&folder)).await.unwrap();
}

fn content(path: &Path) -> Result<Vec<u8>> {
    let file = disk::open_existing(path)?;
    let mut bytes = vec![0; usize::try_from(file.size_bytes()?).unwrap()];
    file.read_at(0, &mut bytes)?;
    Ok(bytes)
}

fn write(path: &Path, text: &str) -> Result<()> {
    disk::open(path)?.write_at(0, text.as_bytes())
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

async fn a_new_file_is_empty(place: Place) {
    at(&place, |folder| {
        let file = disk::open(&folder.join("new"))?;
        assert_eq!(file.size_bytes()?, 0);
        file.read_at(0, &mut [])?;
        assert_eq!(content(&folder.join("new"))?, b"");
        Ok(())
    })
    .await;
}

async fn what_is_written_is_read(place: Place) {
    at(&place, |folder| {
        let file = disk::open(&folder.join("file"))?;
        file.write_at(0, b"hello world")?;
        file.write_at(6, b"W")?;
        file.write_at(11, b"!")?;
        assert_eq!(file.size_bytes()?, 12);
        let mut middle = [0; 7];
        file.read_at(4, &mut middle)?;
        assert_eq!(&middle, b"o World");
        assert_eq!(content(&folder.join("file"))?, b"hello World!");
        Ok(())
    })
    .await;
}

async fn a_gap_reads_as_zeros(place: Place) {
    at(&place, |folder| {
        let file = disk::open(&folder.join("file"))?;
        file.write_at(5000, b"end")?;
        assert_eq!(file.size_bytes()?, 5003);
        let mut all = vec![1; 5003];
        file.read_at(0, &mut all)?;
        assert!(all[..5000].iter().all(|&byte| byte == 0));
        assert_eq!(&all[5000..], b"end");
        Ok(())
    })
    .await;
}

async fn a_read_past_the_end_fails(place: Place) {
    at(&place, |folder| {
        let file = disk::open(&folder.join("file"))?;
        file.write_at(0, b"ten bytes.")?;
        assert_eq!(kind(file.read_at(8, &mut [0; 3])), Some(ErrorKind::UnexpectedEof));
        assert_eq!(kind(file.read_at(10, &mut [0; 1])), Some(ErrorKind::UnexpectedEof));
        assert_eq!(kind(file.read_at(1 << 40, &mut [0; 1])), Some(ErrorKind::UnexpectedEof));
        file.read_at(7, &mut [0; 3])?;
        file.read_at(10, &mut [])
    })
    .await;
}

async fn a_file_is_cut_and_grown(place: Place) {
    at(&place, |folder| {
        let path = folder.join("file");
        let file = disk::open(&path)?;
        file.write_at(0, b"0123456789")?;
        file.set_len(4)?;
        assert_eq!(content(&path)?, b"0123");
        // What was cut off does not come back.
        file.set_len(6)?;
        assert_eq!(content(&path)?, b"0123\0\0");
        file.set_len(6)?;
        file.set_len(0)?;
        assert_eq!(file.size_bytes()?, 0);
        file.write_at(2, b"x")?;
        assert_eq!(content(&path)?, b"\0\0x");
        Ok(())
    })
    .await;
}

async fn a_file_keeps_its_content_when_closed(place: Place) {
    at(&place, |folder| write(&folder.join("file"), "kept")).await;
    at(&place, |folder| {
        let path = folder.join("file");
        assert_eq!(content(&path)?, b"kept");
        // Opening for writing neither cuts nor clears.
        assert_eq!(disk::open(&path)?.size_bytes()?, 4);
        write(&path, "K")?;
        assert_eq!(content(&path)?, b"Kept");
        Ok(())
    })
    .await;
}

async fn a_missing_file_is_not_opened(place: Place) {
    at(&place, |folder| {
        let path = folder.join("missing");
        assert_eq!(kind(disk::open_existing(&path)), Some(ErrorKind::NotFound));
        assert_eq!(disk::list(folder)?, [] as [&Path; 0]);
        Ok(())
    })
    .await;
}

async fn a_missing_folder_holds_nothing(place: Place) {
    at(&place, |folder| {
        let missing = folder.join("missing");
        assert_eq!(kind(disk::list(&missing)), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk::open(&missing.join("file"))), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk::sync_dir(&missing)), Some(ErrorKind::NotFound));
        write(&folder.join("file"), "stays")?;
        assert_eq!(
            kind(disk::rename(&folder.join("file"), &missing.join("file"))),
            Some(ErrorKind::NotFound)
        );
        assert_eq!(content(&folder.join("file"))?, b"stays");
        Ok(())
    })
    .await;
}

async fn a_rename_replaces(place: Place) {
    at(&place, |folder| {
        let (old, new) = (folder.join("old"), folder.join("new"));
        write(&old, "from")?;
        write(&new, "replaced")?;
        disk::rename(&old, &new)?;
        assert_eq!(content(&new)?, b"from");
        assert_eq!(kind(disk::open_existing(&old)), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk::rename(&old, &new)), Some(ErrorKind::NotFound));
        assert_eq!(disk::list(folder)?, [new]);
        Ok(())
    })
    .await;
}

async fn a_removed_file_is_gone(place: Place) {
    at(&place, |folder| {
        let path = folder.join("file");
        write(&path, "gone")?;
        disk::remove(&path)?;
        assert_eq!(kind(disk::open_existing(&path)), Some(ErrorKind::NotFound));
        assert_eq!(kind(disk::remove(&path)), Some(ErrorKind::NotFound));
        // The next one of that name starts afresh.
        assert_eq!(disk::open(&path)?.size_bytes()?, 0);
        Ok(())
    })
    .await;
}

async fn an_open_file_survives_its_name(place: Place) {
    at(&place, |folder| {
        let (old, new) = (folder.join("old"), folder.join("new"));
        let file = disk::open(&old)?;
        file.write_at(0, b"one")?;
        disk::rename(&old, &new)?;
        file.write_at(3, b" two")?;
        assert_eq!(content(&new)?, b"one two");
        disk::remove(&new)?;
        file.write_at(0, b"O")?;
        let mut three = [0; 3];
        file.read_at(0, &mut three)?;
        assert_eq!(&three, b"One");
        assert_eq!(disk::list(folder)?, [] as [&Path; 0]);
        Ok(())
    })
    .await;
}

async fn two_handles_share_a_file(place: Place) {
    at(&place, |folder| {
        let path = folder.join("file");
        let (first, second) = (disk::open(&path)?, disk::open(&path)?);
        first.write_at(0, b"first")?;
        second.write_at(5, b" second")?;
        let clone = first.clone();
        drop(first);
        assert_eq!(clone.size_bytes()?, 12);
        clone.set_len(3)?;
        assert_eq!(second.size_bytes()?, 3);
        Ok(())
    })
    .await;
}

async fn a_list_is_sorted(place: Place) {
    at(&place, |folder| {
        disk::create_dir_all(&folder.join("a-folder"))?;
        write(&folder.join("a-folder").join("inside"), "")?;
        for name in ["log-10", "b", "log-9", "a"] {
            write(&folder.join(name), "")?;
        }
        // Files only, with their whole paths, by bytes of the name.
        assert_eq!(disk::list(folder)?, ["a", "b", "log-10", "log-9"].map(|name| folder.join(name)));
        assert_eq!(disk::list(&folder.join("a-folder"))?, [folder.join("a-folder/inside")]);
        Ok(())
    })
    .await;
}

async fn folders_are_made_with_their_parents(place: Place) {
    at(&place, |folder| {
        let deep = folder.join("one/two/three");
        disk::create_dir_all(&deep)?;
        disk::create_dir_all(&deep)?;
        assert_eq!(disk::list(&deep)?, [] as [&Path; 0]);
        assert_eq!(disk::list(&folder.join("one"))?, [] as [&Path; 0]);
        write(&deep.join("file"), "deep")?;
        assert_eq!(content(&deep.join("file"))?, b"deep");
        Ok(())
    })
    .await;
}

async fn syncs_succeed(place: Place) {
    at(&place, |folder| {
        let file = disk::open(&folder.join("file"))?;
        file.sync()?;
        file.write_at(0, b"synced")?;
        file.sync()?;
        file.sync()?;
        disk::sync_dir(folder)?;
        assert_eq!(content(&folder.join("file"))?, b"synced");
        Ok(())
    })
    .await;
}

async fn a_free_lock_is_taken(place: Place) {
    at(&place, |folder| disk::open(&folder.join("lock"))?.lock()).await;
    // It ended with its file.
    at(&place, |folder| disk::open(&folder.join("lock"))?.lock()).await;
}

async fn a_taken_lock_keeps_others_out(place: Place) {
    at(&place, |folder| {
        let path = folder.join("lock");
        let (first, second) = (disk::open(&path)?, disk::open(&path)?);
        first.lock()?;
        first.lock()?;
        assert_eq!(kind(second.lock()), Some(ErrorKind::WouldBlock));
        // It belongs to the file, not to its name, and not to other files.
        disk::rename(&path, &folder.join("renamed"))?;
        assert_eq!(kind(disk::open(&folder.join("renamed"))?.lock()), Some(ErrorKind::WouldBlock));
        disk::open(&path)?.lock()?;
        // It ends with the last clone.
        let clone = first.clone();
        drop(first);
        assert_eq!(kind(second.lock()), Some(ErrorKind::WouldBlock));
        drop(clone);
        second.lock()
    })
    .await;
}

async fn a_durable_folder_is_there(place: Place) {
    at(&place, |folder| {
        let deep = folder.join("one/two");
        disk::create_durable_dir(&deep)?;
        disk::create_durable_dir(&deep)?;
        write(&deep.join("file"), "deep")?;
        assert_eq!(disk::list(&deep)?, [deep.join("file")]);
        Ok(())
    })
    .await;
}
