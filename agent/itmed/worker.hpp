// SPDX-License-Identifier: GPL-2.0-only
// What may take long or hang is done by a process of its own: this program
// again, with another option. Its standard output is the result.
#pragma once

#include "itmed/loop.hpp"

#include <functional>
#include <memory>
#include <string>
#include <sys/types.h>
#include <vector>

namespace itme {

class Workers {
public:
	// Output and exit status; -1 where it was killed or could not be started.
	using Done = std::function<void(int status, const std::string &output)>;

	explicit Workers(Loop &loop) : loop_(loop) {}
	Workers(const Workers &) = delete;
	Workers &operator=(const Workers &) = delete;
	~Workers(); // leaves the processes to end by themselves

	void start(const std::vector<std::string> &arguments, Done done);

private:
	struct Worker {
		pid_t pid = 0;
		Fd output;
		std::string text;
		Done done;
	};

	void receive(const std::shared_ptr<Worker> &worker);

	Loop &loop_;
	std::vector<std::shared_ptr<Worker>> workers_;
};

} // namespace itme
