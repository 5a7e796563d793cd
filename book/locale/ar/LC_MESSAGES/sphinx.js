Documentation.addTranslations({
  locale: "ar",
  plural_expr: "(n == 1 ? 0 : 1)",
  messages: {
    ", in ": "، في ",
    "Hide Search Matches": "أخفِ الكلمات المعلَّمة",
    "Preparing search...": "يجري إعداد البحث…",
    "Search Results": "نتائج البحث",
    "Searching": "يجري البحث",
    "Search finished, found ${resultCount} page(s) matching the search query.": "عدد الصفحات الموافقة: ${resultCount}",
    "Your search did not match any documents. Please make sure that all words are spelled correctly and that you've selected enough categories.":
      "لا توافق أي صفحة ما بحثت عنه. تحقق من كتابة الكلمات.",
  },
});
