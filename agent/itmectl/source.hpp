// SPDX-License-Identifier: GPL-2.0-only
// Where top and report have it from: itmed, or this process's own look.
#pragma once

#include "itmectl/command.hpp"
#include "lib/json.hpp"
#include "lib/observer.hpp"
#include "lib/protocol.hpp"

#include <memory>
#include <optional>
#include <string>

namespace itme {

class Source {
public:
	// Of itmed, if it listens there and answers; else own. Fails without the module.
	[[nodiscard]] static Result<Source> open(Env &env, const std::filesystem::path &socket,
						 bool own);

	[[nodiscard]] bool is_own() const { return observer_ != nullptr; }
	// Why itmed is not asked; "" if it is.
	[[nodiscard]] const std::string &reason() const { return reason_; }

	// As "observe" answers: since the last call, or for the last second.
	[[nodiscard]] Result<Json> flow();
	// As "stalls", "prefetch" and "heat" answer: own ones from open() on.
	[[nodiscard]] Result<Json> report(RequestKind kind, const std::string &region);

private:
	void note_reason(Json &json) const;

	std::filesystem::path socket_;
	std::string reason_;
	std::uint64_t since_ns_ = 0;
	std::unique_ptr<Observer> observer_;
	std::optional<Observation> before_;
	std::filesystem::path root_;
};

} // namespace itme
