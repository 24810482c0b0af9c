#include "cache/purge/erase.h"

#include <utility>

namespace vignette::cache {

void erase_owed(PurgeBook& book, Store& store, std::move_only_function<void(Result<Erased>)> done) {
  const std::uint64_t up_to = book.owed_epoch();
  if (up_to == 0) return done(Erased());
  store.overwrite_erased([&book, up_to, done = std::move(done)](Result<Erased> erased) mutable {
    if (erased) {
      if (auto noted = book.note_erased(up_to); !noted) erased = std::unexpected(noted.error());
    }
    done(std::move(erased));
  });
}

}  // namespace vignette::cache
