"""The words of figures, tables and cards, in both languages. Prose lives in the book and its catalogues.

Figures take their words from here because an executed notebook's output cannot be translated afterwards.
"""

from bn.lab.chapters.ablations import change_text
from bn.lab.chapters.inception import inception_text
from bn.lab.chapters.kernels import kernel_text
from bn.lab.chapters.training_speed import speed_text

WORDS = {
    "plain": ("plain", "عادية"),
    "bn": ("with BN", "مع BN"),
    "plain network": ("the plain network", "الشبكة العادية"),
    "test accuracy": ("test accuracy", "دقة الاختبار"),
    "training step": ("training step", "خطوة التدريب"),
    "sigmoid input": ("input of the sigmoid", "مدخل الدالة السينية"),
    "panel a": ("(a) Test accuracy", "(أ) دقة الاختبار"),
    "panel b": ("(b) Without BN", "(ب) من غير BN"),
    "panel c": ("(c) With BN", "(ج) مع BN"),
    "all plain": ("All units, without BN", "الوحدات جميعها، من غير BN"),
    "all bn": ("All units, with BN", "الوحدات جميعها، مع BN"),
    "drift title": ("Drift, unit by unit", "الانجراف، وحدةً وحدة"),
    "drift": ("drift (interquartile ranges)", "الانجراف (مقيسًا بالمدى الربيعي)"),
    "looks title": ("Drift, by how often one looks", "الانجراف بحسب تكرار القياس"),
    "interval": ("steps between two looks", "الخطوات بين قياسين"),
    "share of units": ("share of the units", "نسبة الوحدات"),
    "grid plain": ("Without BN", "من غير BN"),
    "grid bn": ("With BN", "مع BN"),
    "learning rate": ("learning rate", "معدل التعلم"),
    "weight std": ("std of the first weights", "الانحراف المعياري للأوزان الأولية"),
    "same setting": ("The same setting", "الإعداد نفسه"),
    "own best": ("Each at its own best", "كل شبكة بأفضل إعداداتها"),
    "unit normal": ("input with variance 1", "مدخل تباينه 1"),
    "wide normal": ("input with variance 25", "مدخل تباينه 25"),
    "sigmoid": ("sigmoid", "الدالة السينية"),
    "best line": ("best line", "أفضل مستقيم"),
    "x": ("input x", "المدخل x"),
    "says": ("The paper says", "تقول الورقة"),
    "found": ("We found", "ما وجدناه"),
    "section": ("section", "القسم"),
    "statement": ("Statement", "العبارة"),
    "measured": ("Measured", "ما قيس"),
    "value": ("Value", "القيمة"),
    "rule": ("Rule", "القاعدة"),
    "verdict": ("Verdict", "الحكم"),
    "paper's value": ("The paper", "في الورقة"),
    "how": ("How it is measured", "طريقة القياس"),
    "rule changed": ("the rule changed after this run", "تغيَّرت القاعدة بعد هذا التشغيل"),
    "network": ("Network", "الشبكة"),
    "setting": ("Learning rate, std of the weights", "معدل التعلم، الانحراف المعياري للأوزان"),
    "steps to 95%": ("Steps to 95% (validation)", "الخطوات حتى <bdi>95%</bdi> (التحقق)"),
    "final accuracy": ("Final test accuracy, %", "دقة الاختبار النهائية، <bdi>%</bdi>"),
    "never": ("never", "لم تبلغها"),
    "seeds": ("seeds", "البذور"),
    "where from": ("Where these numbers come from", "من أين جاءت هذه الأرقام"),
    "device": ("device", "الجهاز"),
    "commit": ("commit", "الإيداع"),
    "uncommitted": ("with uncommitted changes", "مع تعديلات غير مودَعة"),
    "data": ("data", "البيانات"),
    "data checksum": ("SHA-256 of the data", "بصمة البيانات SHA-256"),
    "code": ("digest of the training code", "بصمة شيفرة التدريب"),
    "versions": ("versions", "الإصدارات"),
    "compiled": ("torch.compile", "torch.compile"),
    "time": ("training time", "زمن التدريب"),
    "core seconds": ("{} core-seconds", "{} ثانية من زمن المعالج"),
    "finished": ("finished", "اكتمل في"),
    "command": ("command", "الأمر"),
    "yes": ("yes", "نعم"),
    "no": ("no", "لا"),
    "runs": ("runs", "عمليات التشغيل"),
}

VERDICTS = {
    "verified": ("verified exactly", "تحقَّق تمامًا"),
    "reproduced": ("reproduced", "أُعيد إنتاجه"),
    "smaller": ("reproduced at smaller scale", "أُعيد إنتاجه بحجم أصغر"),
    "not": ("not reproduced", "لم يُعَد إنتاجه"),
    "notrun": ("not run", "لم\u00a0يُختبَر"),
}

# What stands under every figure: which images, how many steps and seeds, and whether that is the paper's own size.
SIZES = {
    "own": (
        "{images}, {steps} steps, {seeds} seeds: the paper's own size.",
        "{images}، عدد الخطوات {steps}، عدد البذور {seeds}: بالحجم نفسه الذي في الورقة.",
    ),
    "smaller": (
        "Small scale, not the paper's experiment: {images}, {steps} steps, {seeds} seeds.",
        "حجم صغير، وليس تجربة الورقة: {images}، عدد الخطوات {steps}، عدد البذور {seeds}.",
    ),
    "digits": ("scikit-learn's digits", "صور الأرقام من scikit-learn"),
    "mnist": ("MNIST", "MNIST"),
    "tiny-imagenet": ("Tiny ImageNet, {pixels} pixels", "Tiny ImageNet بدقة {pixels} بكسل"),
    "imagenet": ("ImageNet, {pixels} pixels", "ImageNet بدقة {pixels} بكسل"),
}

TITLES = {
    "figure1": (
        "BN reaches 95% after {bn} steps, the plain network after {plain}.",
        "بلغت شبكة BN دقة {target} بعد {bn} خطوة، والشبكة العادية بعد {plain}.",
    ),
    "figure1 never": (
        "BN reaches 95% after {bn} steps; the plain network does not in all seeds.",
        "بلغت شبكة BN دقة {target} بعد {bn} خطوة، وأخفقت الشبكة العادية في بلوغها في بذرة واحدة على الأقل.",
    ),
    "figure1 neither": (
        "Too short a run: neither network reaches 95% in all seeds.",
        "تشغيل قصير: أخفقت كل من الشبكتين في بلوغ دقة {target} في بذرة واحدة على الأقل.",
    ),
    "figure1 note": (
        "(a) Mean over seeds with its 95% interval. (b, c) The 15th, 50th and 85th percentiles of the input of unit "
        "{plain_unit} (plain) and unit {bn_unit} (BN) of the last hidden layer, seed {seed}: the units whose drift is "
        "the median of their layer.",
        "(أ) المتوسط على البذور مع فترة الثقة {interval}. (ب، ج) المئينات {p15} و{p50} و{p85} لمدخل الوحدة "
        "{plain_unit} (العادية) والوحدة {bn_unit} (BN) في الطبقة المخفية الأخيرة، البذرة {seed}: وهما الوحدتان "
        "اللتان انجرافهما هو الأقرب إلى وسيط الانجراف في طبقتيهما.",
    ),
    "all_units": (
        "Over all units, the median input ends at {plain} without BN and at {bn} with it.",
        "على الوحدات جميعها، ينتهي وسيط المدخل عند {plain} من غير BN وعند {bn} معه.",
    ),
    "all_units note": (
        "The 15th, 50th and 85th percentiles over all 100 units together, mean over seeds.",
        "المئينات {p15} و{p50} و{p85} على الوحدات المئة معًا، بالمتوسط على البذور.",
    ),
    "drift": (
        "Seen every {often} steps, the median unit drifts by {plain_often} interquartile ranges without BN and "
        "{bn_often} with it; seen every {seldom} steps, by {plain_seldom} and {bn_seldom}.",
        "بالقياس كل {often} خطوة، يعادل انجراف الوحدة الوسيطة المدى الربيعي {plain_often} مرة من غير BN "
        "و{bn_often} مرة معه؛ وبالقياس كل {seldom} خطوة، {plain_seldom} و{bn_seldom}.",
    ),
    "drift note": (
        "Left: the share of the units, of all seeds, whose drift is at most the value below. Right: the drift of the "
        "median unit, mean over seeds, by the time between two looks.",
        "اللوحة الأولى: نسبة الوحدات، من البذور كلها، التي لا يتجاوز انجرافها القيمة المبيَّنة على المحور الأفقي. "
        "اللوحة "
        "الثانية: انجراف الوحدة الوسيطة، بالمتوسط على البذور، بحسب المدة بين قياسين.",
    ),
    "grid": (
        "After {steps} steps, {bn} of the {all} settings pass 95% with BN and {plain} without.",
        "بعد {steps} خطوة، ومن بين إعدادات عددها {all}، تتجاوز الدقة {target} في {bn} منها مع BN وفي {plain} منها "
        "من غيره.",
    ),
    "grid note": (
        "Test accuracy in percent, mean over {seeds} seeds.",
        "دقة الاختبار بالمئة، بالمتوسط على البذور، وعددها {seeds}.",
    ),
    "tuned": (
        "Each at the best setting of its own grid, BN ends at {bn} and the plain network at {plain}.",
        "إذا دُرِّبت كل شبكة بأفضل إعداداتها في الجدول، انتهت شبكة BN إلى {bn} والشبكة العادية إلى {plain}.",
    ),
    "tuned note": (
        "The settings were chosen on validation images; the curves are of test images, mean over seeds with its 95% "
        "interval.",
        "اختيرت الإعدادات على صور التحقق؛ أما المنحنيات فعلى صور الاختبار، وهي متوسط على البذور مع فترة الثقة "
        "{interval}.",
    ),
    "sigmoid": (
        "A straight line explains {unit} of a sigmoid whose input has variance 1, and {wide} at variance 25.",
        "يفسِّر مستقيمٌ {unit} من تباين الدالة السينية حين يكون تباين مدخلها {one}، و{wide} حين يكون {many}.",
    ),
    "sigmoid note": (
        "Shaded: how often each input occurs. The numbers are R² of the best line.",
        "التظليل: تكرار كل قيمة من قيم المدخل. والعددان هما R² لأفضل مستقيم.",
    ),
}

FOUND = {
    "fig1a-accuracy": (
        "BN is ahead throughout in {ahead} of the seeds. It needs {ratio}{ratio_interval} of the plain network's steps "
        "to 95%, and its final test accuracy differs by {gain} percentage points{gain_interval}.",
        "تتقدم شبكة BN في المراحل كلها في {ahead} من البذور. وتحتاج إلى {ratio}{ratio_interval} من خطوات الشبكة "
        "العادية لبلوغ {target}، وتختلف دقة اختبارها النهائية عن دقة الشبكة العادية بمقدار {gain} نقطة "
        "مئوية{gain_interval}.",
    ),
    "fig1bc-stability": (
        "The median input of a unit travels {plain} interquartile ranges in the plain network and {bn} with BN: a "
        "ratio of {ratio}{ratio_interval}.",
        "يقطع وسيط مدخل الوحدة ما يعادل المدى الربيعي {plain} مرة في الشبكة العادية و{bn} مرة مع BN، والنسبة "
        "{ratio}{ratio_interval}.",
    ),
    "baseline-mean-var-drift": (
        "In the plain network the mean moves by {shift} standard deviations{shift_interval} and the standard "
        "deviation grows {growth} times{growth_interval}; with BN the mean moves by {shift_bn} and the standard "
        "deviation grows {growth_bn} times.",
        "في الشبكة العادية يتحرك المتوسط بما يعادل الانحراف المعياري {shift} مرة{shift_interval} ويصير الانحراف "
        "المعياري "
        "{growth} ضِعف ما كان{growth_interval}؛ أما مع BN فيتحرك المتوسط بما يعادله {shift_bn} مرة ويصير الانحراف "
        "المعياري {growth_bn} ضِعف ما كان.",
    ),
}

# The names of the estimates in the rules of book/claims.yml.
ESTIMATES = {
    "error": ("relative error", "الخطأ النسبي"),
    "constant": ("constant feature", "ميزة ثابتة"),
    "gradient": ("gradient", "التدرج"),
    "variance": ("variance", "التباين"),
    "mean": ("mean", "المتوسط"),
    "mean_square": ("mean square", "متوسط المربعات"),
    "marginals": ("mean and variance", "المتوسط والتباين"),
    "correlation_change": ("change of correlation", "تغيُّر الارتباط"),
    "without_eps": ("without ε", "من غير <bdi>ε</bdi>"),
    "with_eps": ("with ε", "مع <bdi>ε</bdi>"),
    "largest": ("largest influence", "أكبر تأثير"),
    "finite_difference": ("finite differences", "الفروق المنتهية"),
    "autograd": ("automatic differentiation", "الاشتقاق الآلي"),
    "second_term": ("second term", "الحدّ الثاني"),
    "sum": ("sum", "المجموع"),
    "along_x_hat": ("along x̂", "في اتجاه <bdi>x̂</bdi>"),
    "r2_unit": ("R² at variance 1", "<bdi>R²</bdi> عند التباين <bdi>1</bdi>"),
    "r2_wide": ("R² at variance 25", "<bdi>R²</bdi> عند التباين <bdi>25</bdi>"),
    "output": ("output", "الخرج"),
    "refused": ("refused by the layers", "نسبة الرفض"),
    "without_factor": ("without m/(m−1)", "من غير <bdi>m/(m−1)</bdi>"),
    "inference_spread": ("spread at inference", "التشتت عند الاستدلال"),
    "training_spread": ("spread in training", "التشتت عند التدريب"),
    "folded": ("one affine map", "تحويل تآلفي واحد"),
    "superposition": ("superposition", "التراكب"),
    "float64": ("float64", "<bdi>float64</bdi>"),
    "float32": ("float32", "<bdi>float32</bdi>"),
    "gap": ("gap, percentage points", "الفرق بالنقاط المئوية"),
    "seeds_ahead": ("share of seeds ahead", "نسبة البذور المتقدِّمة"),
    "steps_ratio": ("steps to 95%, BN / plain", "الخطوات حتى <bdi>95%</bdi>، نسبة <bdi>BN</bdi> إلى العادية"),
    "drift_ratio": ("drift, BN / plain", "الانجراف، نسبة <bdi>BN</bdi> إلى العادية"),
    "mean_shift": ("shift of the mean", "تحرُّك المتوسط"),
    "std_growth": ("growth of the standard deviation", "نمو الانحراف المعياري"),
}

for _part in (inception_text, kernel_text, speed_text, change_text):
    WORDS |= _part.WORDS
    TITLES |= _part.TITLES
    ESTIMATES |= getattr(_part, "ESTIMATES", {})
FOUND |= inception_text.FOUND


def words(language: str):
    """A look-up of WORDS, by key, in one language."""
    return lambda key: pick(WORDS[key], language)


def pick(pair: tuple[str, str], language: str) -> str:
    """The English or the Arabic of a pair."""
    return pair[language == "ar"]
