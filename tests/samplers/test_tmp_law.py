from tests.samplers.test_repaint import DDIM, Ancestral, Posterior, Quadratic, RePaint, Uniform, law
def test_x():
    for steps, jump, times in ((250, 10, 1), (250, 10, 2), (250, 10, 5), (250, 10, 10)):
        mean, variance = law(RePaint(Ancestral(Uniform(), steps, False, Posterior()), jump, times))
        print(steps, jump, times, f"{mean:.3f} {variance:.3f}", flush=True)
    for steps, jump, times in ((100, 2, 20),):
        mean, variance = law(RePaint(DDIM(Quadratic(), steps, False, 0.0, Posterior()), jump, times))
        print("ddim quadratic", steps, jump, times, f"{mean:.3f} {variance:.3f}", flush=True)
