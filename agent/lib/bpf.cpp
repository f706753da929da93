// SPDX-License-Identifier: GPL-2.0-only
#include "lib/bpf.hpp"

#include "lib/file.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cerrno>

namespace itme {

void silence_libbpf()
{
	libbpf_set_print([](enum libbpf_print_level, const char *, va_list) { return 0; });
}

Error explain_load(int err)
{
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
