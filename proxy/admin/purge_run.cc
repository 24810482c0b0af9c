#include "proxy/admin/purge_run.h"

#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "cache/purge/erase.h"
#include "net/offload.h"
#include "net/signal.h"
#include "proxy/admin/purge_receipt.h"

namespace vignette::proxy {
namespace {

constexpr Duration kPurgeWait = std::chrono::seconds(10);
constexpr Duration kEraseWait = std::chrono::hours(1);  // it reads all that the disks hold

struct Erasing {
  net::Signal over;
  std::optional<Result<cache::Erased>> result;
};

struct Purged {
  PurgeCount count;
  cache::PurgeReceipt receipt;
};

std::string_view name_of(cache::PurgeMode mode) {
  if (mode == cache::PurgeMode::erase) return "erase";
  return mode == cache::PurgeMode::soft ? "soft" : "hard";
}

std::string summary(const PurgeOrder& order) {
  std::string text = order.kind;
  if (!order.names.empty()) text.append(" ").append(order.names.front());
  if (order.names.size() > 1)
    text.append(" and ").append(std::to_string(order.names.size() - 1)).append(" more");
  return text;
}

void log_purge(Logger& log, const PurgeOrder& order, const cache::PurgeReceipt& receipt) {
  log.info("purge {} ({}, {})", receipt.sequence, name_of(order.mode), summary(order));
  if (!receipt.not_durable) return;
  log.error("purge {} is in effect, but not durable: {} ({})", receipt.sequence, receipt.not_durable->where,
            explain(*receipt.not_durable));
}

// On a thread that may block.
Result<Purged> purge_now(Node& node, const PurgeOrder& order) {
  Purged purged{.count = count_known(node.store, order, node.clock, kMostCounted), .receipt = {}};
  auto receipt = node.purges->purge(order.targets, order.mode);
  if (!receipt) return std::unexpected(receipt.error());
  purged.receipt = *receipt;
  return purged;
}

void begin_erasing(Node& node, std::shared_ptr<Erasing> erasing, std::shared_ptr<net::Mailbox> mailbox) {
  cache::erase_owed(
      *node.purges, node.store,
      [erasing = std::move(erasing), mailbox = std::move(mailbox)](Result<cache::Erased> result) mutable {
        mailbox->post([erasing = std::move(erasing), result] {
          erasing->result = result;
          erasing->over.notify_all();
        });
      });
}

net::Task<Result<cache::Erased>> await_erased(std::shared_ptr<Erasing> erasing, TimePoint deadline) {
  while (!erasing->result) {
    auto woken = co_await erasing->over.wait(deadline);
    if (!woken) co_return std::unexpected(woken.error());
  }
  co_return *erasing->result;
}

net::Task<AdminReply> count_only(Node& node, PurgeOrder order) {
  auto count = co_await net::offload(node.file_pool, [&node, order] {
    return count_known(node.store, order, node.clock, std::numeric_limits<std::uint64_t>::max());
  });
  if (!count) co_return purge_refusal(count.error());
  co_return AdminReply{.status = 200, .body = dry_run_json(order, *count)};
}

}  // namespace

net::Task<AdminReply> run_purge(Node& node, PurgeOrder order) {
  if (auto sound = cache::PurgeBook::check(order.targets); !sound) co_return purge_refusal(sound.error());
  if (order.dry_run) {
    auto counted = co_await count_only(node, std::move(order));
    co_return counted;
  }
  net::Worker& loop = co_await net::this_worker();
  auto erasing = order.mode == cache::PurgeMode::erase ? std::make_shared<Erasing>() : nullptr;
  auto purged = co_await net::offload(
      node.purge_pool,
      [&node, order, erasing, mailbox = loop.mailbox()] {
        auto done = purge_now(node, order);
        if (done && erasing) begin_erasing(node, erasing, mailbox);
        return done;
      },
      loop.now() + kPurgeWait);
  if (!purged) co_return purge_refusal(purged.error());
  log_purge(node.log, order, purged->receipt);
  std::optional<cache::Erased> erased;
  if (erasing) {
    auto result = co_await await_erased(erasing, loop.now() + kEraseWait);
    if (!result) {
      node.log.error("purge {}: its bytes could not all be overwritten: {} ({})", purged->receipt.sequence,
                     result.error().where, explain(result.error()));
      co_return not_erased(purged->receipt, result.error());
    }
    erased = *result;
    purged->count.on_disk = erased->objects;
  }
  co_return AdminReply{.status = purged->receipt.not_durable ? 500 : 200,
                       .body = receipt_json(order, purged->receipt, purged->count, erased)};
}

}  // namespace vignette::proxy
