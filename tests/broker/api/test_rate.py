from tests.broker.api.serving import serving


async def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    async with serving(rate_per_s=0.5, rate_burst=3) as served:
        answers = [await served.call("GET", "/stream") for _ in range(5)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
        assert int(answers[-1].headers["Retry-After"]) in (1, 2)
        assert "too often" in str(answers[-1].json["detail"])
        assert (await served.call("GET", "/healthz")).status == 200, "what everybody may ask is not counted"


async def test_without_a_rate_nobody_is_refused() -> None:
    async with serving() as served:
        assert {(await served.call("GET", "/stream")).status for _ in range(300)} == {200}
