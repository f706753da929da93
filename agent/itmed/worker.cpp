// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/worker.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

namespace itme {

namespace {

constexpr std::size_t most_output_bytes = 256U << 20; // of a schedule

// The process itself, which stays what it is while its file is replaced.
constexpr const char *self = "/proc/self/exe";

pid_t spawn(const std::vector<std::string> &arguments, int output)
{
	std::vector<char *> argv;
	std::string name = "itmed";
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none;
	pid_t pid = -1;

	argv.push_back(name.data());
	for (const auto &argument : arguments)
		argv.push_back(const_cast<char *>(argument.c_str()));
	argv.push_back(nullptr);
	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attributes, &none);
	const int err = posix_spawn(&pid, self, &actions, &attributes, argv.data(), environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return err == 0 ? pid : -1;
}

} // namespace

Workers::~Workers()
{
	for (const auto &worker : workers_)
		loop_.remove(worker->output.get());
}

void Workers::start(const std::vector<std::string> &arguments, Done done)
{
	std::array<int, 2> ends{};

	if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) < 0)
		return done(-1, "");
	auto worker = std::make_shared<Worker>();
	const Fd write_end{ends[1]};
	worker->output = Fd{ends[0]};
	worker->done = std::move(done);
	worker->pid = spawn(arguments, write_end.get());
	if (worker->pid < 0)
		return worker->done(-1, "");
	workers_.push_back(worker);
	if (!loop_.add(worker->output.get(), EPOLLIN,
		       [this, worker](std::uint32_t) { receive(worker); })) {
		std::erase(workers_, worker);
		worker->done(-1, "");
	}
}

void Workers::receive(const std::shared_ptr<Worker> &worker)
{
	std::array<char, 65536> buffer;
	const auto n = read(worker->output.get(), buffer.data(), buffer.size());

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		worker->text.append(buffer.data(), static_cast<std::size_t>(n));
		if (worker->text.size() <= most_output_bytes)
			return;
	}
	// Its end of the pipe is closed: it has ended, or is about to.
	int status = 0;
	const auto keep = worker; // the callback holds the last other reference
	loop_.remove(keep->output.get());
	keep->output.reset();
	while (waitpid(keep->pid, &status, 0) < 0 && errno == EINTR)
		;
	std::erase(workers_, keep);
	keep->done(WIFEXITED(status) ? WEXITSTATUS(status) : -1, keep->text);
}

} // namespace itme
