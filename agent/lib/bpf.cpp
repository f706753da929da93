// SPDX-License-Identifier: GPL-2.0-only
#include "lib/bpf.hpp"

#include "lib/file.hpp"

#include <algorithm>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

namespace itme {

namespace {

// What the verifier said last.
std::string &verifier_log()
{
	thread_local std::string log;

	return log;
}

int listen(enum libbpf_print_level level, const char *format, va_list arguments)
{
	va_list again;

	if (level != LIBBPF_WARN ||
	    std::string_view(format).find("PROG LOAD LOG") == std::string_view::npos)
		return 0;
	va_copy(again, arguments);
	auto &log = verifier_log();
	log.resize(
		static_cast<std::size_t>(std::max(0, std::vsnprintf(nullptr, 0, format, again))));
	va_end(again);
	std::vsnprintf(log.data(), log.size() + 1, format, arguments);
	return 0;
}

// The program, and the sentence that its log ends with, before the statistics.
std::string last_word(const std::string &log)
{
	const auto name_end = log.find(": --");
	const auto end = log.rfind("\nprocessed ");

	if (name_end == log.npos || end == log.npos)
		return "";
	const auto begin = log.rfind('\n', end - 1) + 1;
	return log.substr(0, name_end) + ": " + log.substr(begin, end - begin);
}

} // namespace

void silence_libbpf()
{
	libbpf_set_print(listen);
}

Error explain_load(int err)
{
	const auto refusal = last_word(std::exchange(verifier_log(), {}));

	if (!refusal.empty())
		return {Exit::unsupported,
			"the kernel's verifier refuses a BPF program (" + refusal + ")"};
	if (err == EPERM || err == EACCES)
		return {Exit::failed, "BPF programs need CAP_BPF and CAP_PERFMON: run as root"};
	return {Exit::unsupported, "the BPF program could not be loaded: " + errno_text(err)};
}

std::uint64_t left_out(const bpf_program *program)
{
	struct bpf_prog_info info{};
	__u32 size = sizeof(info);
	const int fd = bpf_program__fd(program);

	if (fd < 0 || bpf_prog_get_info_by_fd(fd, &info, &size) < 0)
		return 0;
	return info.recursion_misses;
}

} // namespace itme
