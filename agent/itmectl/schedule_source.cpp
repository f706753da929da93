// SPDX-License-Identifier: GPL-2.0-only
#include "itmectl/schedule_source.hpp"

#include "lib/file.hpp"
#include "lib/model.hpp"

namespace itme {

Result<Schedule> derive_file(const std::filesystem::path &path, const DeriveOptions &options)
{
	const auto model = read_model(path);

	if (!model)
		return std::unexpected(model.error());
	return derive(*model, options);
}

Result<Schedule> schedule_of(const std::filesystem::path &path, const DeriveOptions &options)
{
	const std::string name = path.filename().string();

	if (!name.ends_with(".json") || name.ends_with(".safetensors.index.json"))
		return derive_file(path, options);
	const auto text = read_file(path);

	if (!text)
		return fail(path.string() + ": " + errno_text(text.error()));
	auto schedule = parse_schedule(*text);

	if (!schedule)
		return fail(path.string() + ": " + schedule.error().text());
	return std::move(*schedule);
}

} // namespace itme
