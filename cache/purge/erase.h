// The second half of a purge that erases: bytes on disks are overwritten, and only then it is forgotten.
#pragma once

#include <functional>

#include "base/error.h"
#include "cache/purge/purge_book.h"
#include "cache/store.h"

namespace vignette::cache {

// Overwrites all that is owed by now (PurgeBook::owed_epoch()) and notes that in the journal. Also at a
// start, and when a disk is back, for what an end of the process or a fault has left. Calls `done` once, here
// or on a thread of a disk. Errors: those of Store::overwrite_erased() and PurgeBook::note_erased(): it goes
// on being owed. Both must live until the store has stopped.
void erase_owed(PurgeBook& book, Store& store, std::move_only_function<void(Result<Erased>)> done);

}  // namespace vignette::cache
