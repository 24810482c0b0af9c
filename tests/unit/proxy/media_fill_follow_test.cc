#include "proxy/media/fill_follow.h"

#include <catch2/catch.hpp>

#include "tests/unit/proxy/fetch_rig.h"

using namespace vignette;
using namespace vignette::proxy;
using namespace vignette::proxy::test;

namespace {

struct CutReader {
  std::uint64_t available_before = 0;
  Result<bool> ready = true;
};

net::Task<void> read_behind_the_cut(FetchRig& rig, CutReader& seen) {
  cache::Fill::Start start = cache::Fill::start(rig.store, nullptr, cache::hash_key("h/a"), "h/a", {});
  FillHub::Follower follower = rig.context.fills.follow(start.writer.fill());
  cache::ObjectHead head;
  head.status = 200;
  VCHECK(start.writer.set_head(head, cache::Reason::is_private) == cache::HeadVerdict::passing);
  VCHECK(start.writer.append(Slice::copy(std::string(100'000, 'x'))));
  seen.available_before = start.reader.available();
  VCHECK(start.writer.cut_slowest());
  auto ready = co_await wait_for_bytes(rig.context, start.reader, follower, 1);
  seen.ready = ready;
}

}  // namespace

TEST_CASE("A reader that was cut is told so, although the bytes it has not taken were there") {
  FetchRig rig;
  CutReader seen;
  REQUIRE(rig.run(read_behind_the_cut, seen));
  CHECK(seen.available_before == 100'000);
  REQUIRE_FALSE(seen.ready);
  CHECK(seen.ready.error().code == Code::closed);
}
