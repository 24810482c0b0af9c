// What who ordered a purge is told when it was not taken: whether to ask again, and whether it may be in
// effect.
#include "proxy/admin/purge_receipt.h"

#include <catch2/catch.hpp>
#include <string>

using namespace vignette;
using namespace vignette::proxy;

namespace {

Error error_of(Code code, Blame blame, Retry retry) { return {code, blame, retry, 0, "test"}; }

}  // namespace

TEST_CASE("A purge that may still take effect is never called one that did not") {
  const AdminReply late = purge_refusal(error_of(Code::timeout, Blame::internal, Retry::no));
  CHECK(late.status == 504);
  CHECK(late.body.find("not known") != std::string::npos);
  const AdminReply failed = purge_refusal(error_of(Code::io, Blame::internal, Retry::no));
  CHECK(failed.status == 500);
  CHECK(failed.body.find("is not in effect") != std::string::npos);
}

TEST_CASE("A pool of threads that is full is told from a book that is full") {
  CHECK(purge_refusal(error_of(Code::exhausted, Blame::internal, Retry::yes)).status == 503);
  CHECK(purge_refusal(error_of(Code::exhausted, Blame::client, Retry::no)).status == 507);
  CHECK(purge_refusal(error_of(Code::limit, Blame::client, Retry::no)).status == 400);
  CHECK(purge_refusal(error_of(Code::unavailable, Blame::internal, Retry::no)).status == 503);
}
